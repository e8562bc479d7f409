print("importing")
raise ValueError("bad setting")
