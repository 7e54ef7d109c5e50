"""The wire schema of Thanos' gRPC services and of Prometheus' remote protocols, as a compact table.

One line for each message: ``Name: field number type, ...``. Types: a protobuf scalar, a message or enum of the same
package or, with dots, of another one; ``*T`` repeated, ``!T`` a message that is written even when it is empty,
``!time`` a time stamp that is Go's zero time when it was never set, ``map:T`` a map from string, ``T|name`` a member
of the oneof ``name``. ``Name = A B C`` is an enum counting from 0; ``service Name: Method Request Response`` ends in
``*`` where the answer streams.

Source of the numbers: thanos pkg/**/*.proto, prometheus prompb/*.proto; the presence rules are those of gogoproto's
non-nullable fields. Enum constants that would collide inside one package carry the enum's name as prefix; constants are
not on the wire.
"""

from __future__ import annotations

PROMPB = """
MetricMetadata: type 1 MetricMetadata.MetricType, metric_family_name 2 string, help 4 string, unit 5 string
MetricMetadata.MetricType = UNKNOWN COUNTER GAUGE HISTOGRAM GAUGEHISTOGRAM SUMMARY INFO STATESET
Sample: value 1 double, timestamp 2 int64
Label: name 1 string, value 2 string
Exemplar: labels 1 *Label, value 2 double, timestamp 3 int64
Histogram: count_int 1 uint64|count, count_float 2 double|count, sum 3 double, schema 4 sint32, zero_threshold 5 \
double, zero_count_int 6 uint64|zero_count, zero_count_float 7 double|zero_count, negative_spans 8 *BucketSpan, \
negative_deltas 9 *sint64, negative_counts 10 *double, positive_spans 11 *BucketSpan, positive_deltas 12 *sint64, \
positive_counts 13 *double, reset_hint 14 Histogram.ResetHint, timestamp 15 int64, custom_values 16 *double
Histogram.ResetHint = UNKNOWN YES NO GAUGE
BucketSpan: offset 1 sint32, length 2 uint32
TimeSeries: labels 1 *Label, samples 2 *Sample, exemplars 3 *Exemplar, histograms 4 *Histogram
LabelMatcher: type 1 LabelMatcher.Type, name 2 string, value 3 string
LabelMatcher.Type = EQ NEQ RE NRE
ReadHints: step_ms 1 int64, func 2 string, start_ms 3 int64, end_ms 4 int64, grouping 5 *string, by 6 bool, \
range_ms 7 int64
Query: start_timestamp_ms 1 int64, end_timestamp_ms 2 int64, matchers 3 *LabelMatcher, hints 4 ReadHints
ReadRequest: queries 1 *Query, accepted_response_types 2 *ReadRequest.ResponseType
ReadRequest.ResponseType = SAMPLES STREAMED_XOR_CHUNKS
QueryResult: timeseries 1 *TimeSeries
ReadResponse: results 1 *QueryResult
Chunk: min_time_ms 1 int64, max_time_ms 2 int64, type 3 Chunk.Encoding, data 4 bytes
Chunk.Encoding = UNKNOWN XOR HISTOGRAM FLOAT_HISTOGRAM XOR2 HISTOGRAM_ST FLOAT_HISTOGRAM_ST
ChunkedSeries: labels 1 *Label, chunks 2 *Chunk
ChunkedReadResponse: chunked_series 1 *ChunkedSeries, query_index 2 int64
WriteRequest: timeseries 1 *TimeSeries, metadata 3 *MetricMetadata
"""

WRITE_V2 = """
Request: symbols 4 *string, timeseries 5 *TimeSeries
TimeSeries: labels_refs 1 *uint32, samples 2 *Sample, histograms 3 *Histogram, exemplars 4 *Exemplar, metadata 5 \
!Metadata
Sample: value 1 double, timestamp 2 int64, start_timestamp 3 int64
Exemplar: labels_refs 1 *uint32, value 2 double, timestamp 3 int64
Metadata: type 1 Metadata.MetricType, help_ref 3 uint32, unit_ref 4 uint32
Metadata.MetricType = METRIC_TYPE_UNSPECIFIED METRIC_TYPE_COUNTER METRIC_TYPE_GAUGE METRIC_TYPE_HISTOGRAM \
METRIC_TYPE_GAUGEHISTOGRAM METRIC_TYPE_SUMMARY METRIC_TYPE_INFO METRIC_TYPE_STATESET
Histogram: count_int 1 uint64|count, count_float 2 double|count, sum 3 double, schema 4 sint32, zero_threshold 5 \
double, zero_count_int 6 uint64|zero_count, zero_count_float 7 double|zero_count, negative_spans 8 *BucketSpan, \
negative_deltas 9 *sint64, negative_counts 10 *double, positive_spans 11 *BucketSpan, positive_deltas 12 *sint64, \
positive_counts 13 *double, reset_hint 14 Histogram.ResetHint, timestamp 15 int64, custom_values 16 *double, \
start_timestamp 17 int64
Histogram.ResetHint = RESET_HINT_UNSPECIFIED RESET_HINT_YES RESET_HINT_NO RESET_HINT_GAUGE
BucketSpan: offset 1 sint32, length 2 uint32
"""

THANOS = """
Label: name 1 string, value 2 string
LabelSet: labels 1 *Label
ZLabelSet: labels 1 *Label
SymTableLabel: name_ref 1 uint32, value_ref 2 uint32
SymbolTable: offsets 1 *uint32, table 2 bytes
PartialResponseStrategy = WARN ABORT
Chunk: type 1 Chunk.Encoding, data 2 bytes, hash 3 uint64
Chunk.Encoding = XOR HISTOGRAM FLOAT_HISTOGRAM
AggrChunk: min_time 1 int64, max_time 2 int64, raw 3 Chunk, count 4 Chunk, sum 5 Chunk, min 6 Chunk, max 7 Chunk, \
counter 8 Chunk
Series: labels 1 *Label, chunks 2 *AggrChunk
SeriesBatch: series 1 *Series
LabelMatcher: type 1 LabelMatcher.Type, name 2 string, value 3 string
LabelMatcher.Type = EQ NEQ RE NRE

SeriesRequest: min_time 1 int64, max_time 2 int64, matchers 3 *LabelMatcher, max_resolution_window 4 int64, \
aggregates 5 *Aggr, partial_response_disabled 6 bool, partial_response_strategy 7 PartialResponseStrategy, \
skip_chunks 8 bool, hints 9 google.protobuf.Any, step 10 int64, range 11 int64, query_hints 12 QueryHints, \
shard_info 13 ShardInfo, without_replica_labels 14 *string, limit 15 int64, response_batch_size 16 int64
Aggr = RAW COUNT SUM MIN MAX COUNTER
QueryHints: step_millis 1 int64, func 2 Func, grouping 4 Grouping, range 5 Range, projection_labels 6 *string, \
projection_include 7 bool, series_hash_label_name 8 string
Func: name 1 string
Grouping: by 1 bool, labels 3 *string
Range: millis 1 int64
ShardInfo: shard_index 1 int64, total_shards 2 int64, by 3 bool, labels 4 *string
SeriesResponse: series 1 Series|result, warning 2 string|result, hints 3 google.protobuf.Any|result, batch 4 \
SeriesBatch|result
LabelNamesRequest: partial_response_disabled 1 bool, partial_response_strategy 2 PartialResponseStrategy, start 3 \
int64, end 4 int64, hints 5 google.protobuf.Any, matchers 6 *LabelMatcher, without_replica_labels 7 *string, limit \
8 int64
LabelNamesResponse: names 1 *string, warnings 2 *string, hints 3 google.protobuf.Any
LabelValuesRequest: label 1 string, partial_response_disabled 2 bool, partial_response_strategy 3 \
PartialResponseStrategy, start 4 int64, end 5 int64, hints 6 google.protobuf.Any, matchers 7 *LabelMatcher, \
without_replica_labels 8 *string, limit 9 int64
LabelValuesResponse: values 1 *string, warnings 2 *string, hints 3 google.protobuf.Any
service Store: Series SeriesRequest SeriesResponse*, LabelNames LabelNamesRequest LabelNamesResponse, LabelValues \
LabelValuesRequest LabelValuesResponse
WriteRequest: timeseries 1 *prometheus_copy.TimeSeries, tenant 2 string, replica 3 int64, timeseriesTenantData 4 \
*TimeSeriesTenantTuple
TimeSeriesTenantTuple: timeseries 1 *prometheus_copy.TimeSeries, tenant 2 string
WriteResponse:
service WriteableStore: RemoteWrite WriteRequest WriteResponse

RulesRequest: type 1 RulesRequest.Type, partial_response_strategy 2 PartialResponseStrategy, matcher_string 3 \
*string, rule_name 4 *string, rule_group 5 *string, file 6 *string
RulesRequest.Type = ALL ALERT RECORD
RulesResponse: group 1 RuleGroup|result, warning 2 string|result
RuleGroups: groups 1 *RuleGroup
RuleGroup: name 1 string, file 2 string, rules 3 *Rule, interval 4 double, evaluation_duration_seconds 5 double, \
last_evaluation 6 !time, PartialResponseStrategy 8 PartialResponseStrategy, limit 9 int64
Rule: recording 1 RecordingRule|result, alert 2 Alert|result
AlertState = ALERT_UNKNOWN INACTIVE PENDING FIRING
AlertInstance: labels 1 !ZLabelSet, annotations 2 !ZLabelSet, state 3 AlertState, active_at 4 \
google.protobuf.Timestamp, value 5 string, PartialResponseStrategy 6 PartialResponseStrategy
Alert: state 1 AlertState, name 2 string, query 3 string, duration_seconds 4 double, labels 5 !ZLabelSet, \
annotations 6 !ZLabelSet, alerts 7 *AlertInstance, health 8 string, last_error 9 string, \
evaluation_duration_seconds 10 double, last_evaluation 11 !time, keep_firing_for_seconds 12 double
RecordingRule: name 1 string, query 2 string, labels 3 !ZLabelSet, health 4 string, last_error 5 string, \
evaluation_duration_seconds 6 double, last_evaluation 7 !time
service Rules: Rules RulesRequest RulesResponse*

TargetsRequest: state 1 TargetsRequest.State, partial_response_strategy 2 PartialResponseStrategy
TargetsRequest.State = ANY ACTIVE DROPPED
TargetsResponse: targets 1 TargetDiscovery|result, warning 2 string|result
TargetDiscovery: activeTargets 1 *ActiveTarget, droppedTargets 2 *DroppedTarget
TargetHealth = DOWN UP TARGET_UNKNOWN
ActiveTarget: discoveredLabels 1 !ZLabelSet, labels 2 !ZLabelSet, scrapePool 3 string, scrapeUrl 4 string, \
globalUrl 5 string, lastError 6 string, lastScrape 7 !time, lastScrapeDuration 8 double, health 9 TargetHealth
DroppedTarget: discoveredLabels 1 !ZLabelSet
service Targets: Targets TargetsRequest TargetsResponse*

MetricMetadataRequest: metric 1 string, limit 2 int32, partial_response_strategy 3 PartialResponseStrategy
MetricMetadataResponse: metadata 1 MetricMetadata|result, warning 2 string|result
MetricMetadata: metadata 1 map:MetricMetadataEntry
MetricMetadataEntry: metas 2 *Meta
Meta: type 1 string, help 2 string, unit 3 string
service Metadata: MetricMetadata MetricMetadataRequest MetricMetadataResponse*

ExemplarsRequest: query 1 string, start 2 int64, end 3 int64, partial_response_strategy 4 PartialResponseStrategy
ExemplarsResponse: data 1 ExemplarData|result, warning 2 string|result
ExemplarData: seriesLabels 1 !ZLabelSet, exemplars 2 *Exemplar
Exemplar: labels 1 !ZLabelSet, value 2 double, ts 3 int64
service Exemplars: Exemplars ExemplarsRequest ExemplarsResponse*

TSDBStatisticsRequest: tenant 1 string, limit 2 int32, partial_response_strategy 3 PartialResponseStrategy, \
matchers 4 *LabelMatcher
TSDBStatisticsResponse: statistics 1 TSDBStatistics|result, warning 2 string|result
TSDBStatistics: statistics 1 map:TSDBStatisticsEntry
TSDBStatisticsEntry: head_statistics 1 !HeadStatistics, series_count_by_metric_name 2 *Statistic, \
label_value_count_by_label_name 3 *Statistic, memory_in_bytes_by_label_name 4 *Statistic, \
series_count_by_label_value_pair 5 *Statistic
HeadStatistics: num_series 1 uint64, num_label_pairs 2 int64, chunk_count 3 int64, min_time 4 int64, max_time 5 int64
Statistic: name 1 string, value 2 uint64
service Status: TSDBStatistics TSDBStatisticsRequest TSDBStatisticsResponse*

EngineType = default prometheus thanos
QueryStats: samples_total 1 int64, peak_samples 2 int64
StoreMatchers: labelMatchers 1 *LabelMatcher
queryPlan: json 1 bytes|encoding
TimeSeriesBatch: series 1 *prometheus_copy.TimeSeries
QueryRequest: query 1 string, time_seconds 2 int64, timeout_seconds 3 int64, max_resolution_seconds 4 int64, \
replica_labels 5 *string, storeMatchers 6 *StoreMatchers, enableDedup 7 bool, enablePartialResponse 8 bool, \
skipChunks 10 bool, shard_info 11 ShardInfo, lookback_delta_seconds 12 int64, engine 13 EngineType, queryPlan 14 \
queryPlan, response_batch_size 15 int64
QueryResponse: warnings 1 string|result, timeseries 2 prometheus_copy.TimeSeries|result, stats 3 QueryStats|result, \
timeseries_batch 4 TimeSeriesBatch|result
QueryRangeRequest: query 1 string, start_time_seconds 2 int64, end_time_seconds 3 int64, interval_seconds 4 int64, \
timeout_seconds 5 int64, max_resolution_seconds 6 int64, replica_labels 7 *string, storeMatchers 8 *StoreMatchers, \
enableDedup 9 bool, enablePartialResponse 10 bool, skipChunks 12 bool, shard_info 13 ShardInfo, \
lookback_delta_seconds 14 int64, engine 15 EngineType, queryPlan 16 queryPlan, response_batch_size 17 int64
QueryRangeResponse: warnings 1 string|result, timeseries 2 prometheus_copy.TimeSeries|result, stats 3 \
QueryStats|result, timeseries_batch 4 TimeSeriesBatch|result
service Query: Query QueryRequest QueryResponse*, QueryRange QueryRangeRequest QueryRangeResponse*
"""

INFO = """
InfoRequest:
InfoResponse: label_sets 1 *thanos.ZLabelSet, ComponentType 2 string, store 3 StoreInfo, rules 4 RulesInfo, \
metric_metadata 5 MetricMetadataInfo, targets 6 TargetsInfo, exemplars 7 ExemplarsInfo, query 8 QueryAPIInfo, \
status 9 StatusInfo
StoreInfo: min_time 1 int64, max_time 2 int64, supports_sharding 3 bool, supports_without_replica_labels 5 bool, \
tsdb_infos 6 *TSDBInfo, supports_projections 7 bool
TSDBInfo: labels 1 !thanos.ZLabelSet, min_time 2 int64, max_time 3 int64
ExemplarsInfo: min_time 1 int64, max_time 2 int64
RulesInfo:
MetricMetadataInfo:
TargetsInfo:
QueryAPIInfo:
StatusInfo:
service Info: Info InfoRequest InfoResponse
"""

HINTS = """
SeriesRequestHints: block_matchers 1 *thanos.LabelMatcher, enable_query_stats 2 bool
SeriesResponseHints: queried_blocks 1 *Block, query_stats 2 QueryStats
Block: id 1 string
LabelNamesRequestHints: block_matchers 1 *thanos.LabelMatcher
LabelNamesResponseHints: queried_blocks 1 *Block
LabelValuesRequestHints: block_matchers 1 *thanos.LabelMatcher
LabelValuesResponseHints: queried_blocks 1 *Block
QueryStats: blocks_queried 1 int64, merged_series_count 2 int64, merged_chunks_count 3 int64, postings_touched 4 \
int64, postings_touched_size_sum 5 int64, postings_to_fetch 6 int64, postings_fetched 7 int64, \
postings_fetched_size_sum 8 int64, postings_fetch_count 9 int64, series_touched 10 int64, series_touched_size_sum \
11 int64, series_fetched 12 int64, series_fetched_size_sum 13 int64, series_fetch_count 14 int64, chunks_touched 15 \
int64, chunks_touched_size_sum 16 int64, chunks_fetched 17 int64, chunks_fetched_size_sum 18 int64, \
chunks_fetch_count 19 int64, data_downloaded_size_sum 20 int64, get_all_duration 21 !google.protobuf.Duration, \
merge_duration 22 !google.protobuf.Duration
"""

PACKAGES: tuple[tuple[str, str], ...] = (
    ("prometheus", PROMPB),
    ("prometheus_copy", PROMPB),
    ("io.prometheus.write.v2", WRITE_V2),
    ("thanos", THANOS),
    ("thanos.info", INFO),
    ("hintspb", HINTS),
)
"""(protobuf package, its table), in order of dependency."""
