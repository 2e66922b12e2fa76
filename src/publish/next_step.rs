//! What is to be done about a publication that failed: the last hint of each such failure.

/// What failed may have passed by then.
pub const NEXT_RUN: &str = "the next run tries again, even if --min-ttl finds the access token fresh";

/// No later attempt can succeed as things are.
pub const AFTER_CORRECTION: &str = "correct this, then run again";
