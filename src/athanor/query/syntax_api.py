"""``format_query`` and ``parse_query`` of Prometheus: a query laid out over lines, and its tree as JSON.

Thanos' querier has neither; editors and linters that are pointed at it as at a Prometheus ask for them.
"""

from __future__ import annotations

from athanor.model.cancel import CancelToken
from athanor.promql.ast import Node
from athanor.promql.ast_json import ast_json
from athanor.promql.errors import ParseError
from athanor.promql.features import Features
from athanor.promql.parser import parse
from athanor.promql.pretty import pretty
from athanor.query.json_result import json_text
from athanor.query.requests import ApiReply, ApiRequest, bad_data, success


class SyntaxApi:
    """What needs a parser alone."""

    def __init__(self, features: Features) -> None:
        self._features = features

    def format(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The query, long parts broken into lines."""
        return success(json_text(pretty(self._tree(request))))

    def parse(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The tree of the query."""
        return success(ast_json(self._tree(request)))

    def _tree(self, request: ApiRequest) -> Node:
        try:
            return parse(request.value("query"), self._features)
        except ParseError as err:
            raise bad_data(f'invalid parameter "query": {err}') from None
