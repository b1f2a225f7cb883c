"""Callbacks for libraries that train by themselves."""
