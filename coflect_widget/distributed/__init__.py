"""The processes that train one model together; today it is one."""
