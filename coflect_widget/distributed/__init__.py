"""The processes that train one model together; most often it is one."""
