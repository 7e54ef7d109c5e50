"""Finished blocks to the bucket: used beside Prometheus, by receive and by rule.

Shipper(bucket, data_dir, labels, source, options, metrics, log).sync() -> int     shipper.py
upload_block(bucket, directory, meta, ...)                                         upload.py
ShippedBlocks: the file thanos.shipper.json                                        shipped.py
"""

from athanor.ship.shipped import ShippedBlocks
from athanor.ship.shipper import Shipper, ShipperMetrics, ShipperOptions, SyncError
from athanor.ship.upload import upload_block

__all__ = ["ShippedBlocks", "Shipper", "ShipperMetrics", "ShipperOptions", "SyncError", "upload_block"]
