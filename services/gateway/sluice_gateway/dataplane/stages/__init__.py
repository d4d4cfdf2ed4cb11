"""The stages of the request path, one module each, in the order in which a request meets them.

`authenticate → admit → resolve → (guard_input · route · retrieve) → build_context → dispatch → guard_output → respond →
settle → record`. Each module's decisions are plain functions; a coroutine stands beside them where something is waited for.
"""
