"""What speaks for and against a deployment, one signal a module.

Residency, modality and capability are absolute: a deployment that one of them refuses is never named. Context and
health are as far as known: when nothing else is left, what they speak against is tried all the same.
"""
