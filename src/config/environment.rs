//! Environment variables. An empty one counts as unset; an option overrides its variable.

use std::env;
use std::ffi::{OsStr, OsString};

use crate::failure::{Failure, InvalidValue};

pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The option's value, else that of its variable, read by `parse`.
pub fn option_or_variable<T>(
    option: Option<T>,
    name: &str,
    parse: fn(&str) -> Result<T, InvalidValue>,
) -> Result<Option<T>, Failure> {
    match (option, variable(name)) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(text)) => read_value(name, &text, parse).map(Some),
        (None, None) => Ok(None),
    }
}

/// Reads a value of the option or variable `subject`.
pub fn read_value<T>(subject: &str, value: &OsStr, parse: fn(&str) -> Result<T, InvalidValue>) -> Result<T, Failure> {
    parse(&read_text(subject, value)?).map_err(|invalid| invalid.of(subject))
}

pub fn read_text(subject: &str, value: &OsStr) -> Result<String, Failure> {
    match value.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::usage(subject, "not UTF-8 text", "write it in UTF-8")),
    }
}
