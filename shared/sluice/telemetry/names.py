"""The attribute names of spans in one table: OpenTelemetry's first, ours after.

HTTP names follow OpenTelemetry's stable HTTP conventions; the GenAI names follow its GenAI conventions, which are
still changing: this table is the only place that holds them.
"""

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_PATH = "url.path"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"

USER_TYPE = "sluice.user_type"
TAGS = "sluice.tags"
TENANT = "sluice.tenant"
REQUEST_ID = "sluice.request_id"
ROUTE = "sluice.route"
DEPLOYMENT = "sluice.deployment"
GUARD_ISSUES = "sluice.guard.issues"
CITATIONS = "sluice.citations"
CHUNKS = "sluice.chunks"
