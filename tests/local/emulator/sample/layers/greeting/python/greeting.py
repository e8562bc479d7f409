def hello(name: str) -> str:
    return f"{name} from a layer"
