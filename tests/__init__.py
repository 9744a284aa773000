"""A package, so that none of that name among the installed ones is taken for it: one of Google's SDKs has one."""
