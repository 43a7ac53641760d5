"""One module a way to install; each offers the steps that it knows as functions of a Work."""
