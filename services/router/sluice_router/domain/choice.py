        yield (models[mine],)
    others = tuple(_named(models, (name for name in route.candidates if name != mine)))
    if others or mine not in models:
        yield others

