//! Configuration, views and every connection: what is wrong, and how to mend it.
