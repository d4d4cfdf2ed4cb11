"""The request path: from the first byte of a request to the last byte of its answer.

Built for speed by paying per feature: a policy is compiled into the stages that it needs when the routing snapshot
changes, and a request runs those and no others. Decisions are plain synchronous functions in `stages/`; whatever waits
is a coroutine around them.
"""
