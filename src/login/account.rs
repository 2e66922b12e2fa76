//! `--userinfo`: which account the new login belongs to.
//!
//! Docusign's API is called at the `base_uri` of an account, and with its `account_id`. Both are at
//! `/oauth/userinfo`, next to the token endpoint, and "should always be cached" (developers.docusign.com,
//! "Get user info"). Any other server with the same list at that address works, too.

use crate::json::{Object, elements, quote};

/// What a login adds to the token file.
pub type Members = [(&'static str, String); 2];

/// The default account in a response's body, as members of a token file.
pub fn default_account(body: &[u8]) -> Result<Members, &'static str> {
    let text = String::from_utf8_lossy(body);
    let Ok(response) = Object::parse_leniently(&text) else { return Err("the response is not a JSON object") };
    let accounts = elements(response.text("accounts").unwrap_or_default());
    let accounts: Vec<_> = accounts.into_iter().filter_map(|account| Object::parse_leniently(account).ok()).collect();
    let is_default = |account: &&Object| account.text("is_default").is_some_and(|text| text.contains("true"));
    let account = match accounts.as_slice() {
        [] => return Err("the response lists no accounts"),
        [account] => account,
        several => several.iter().find(is_default).ok_or("the response marks no account as the default")?,
    };
    let member = |name: &'static str| {
        let value = account.string(name).filter(|value| !value.is_empty());
        let member = value.map(|value| (name, quote(&value)));
        member.ok_or("the default account has no account_id or no base_uri")
    };
    Ok([member("account_id")?, member("base_uri")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_default_account() {
        let one = r#"{"account_id":"a","is_default":false,"base_uri":"https://x"}"#;
        let two = r#"{"account_id":"b","is_default":true,"base_uri":"https:\/\/y"}"#;
        let string = r#"{"account_id":"c","is_default":"true","base_uri":"https://z"}"#;
        for (accounts, wanted) in [
            (format!("[{one},{two}]"), Ok(("\"b\"", "\"https://y\""))),
            (format!("[{one},{string}]"), Ok(("\"c\"", "\"https://z\""))),
            (format!("[{one}]"), Ok(("\"a\"", "\"https://x\""))),
            (format!("[{one},{one}]"), Err("the response marks no account as the default")),
            ("[]".to_owned(), Err("the response lists no accounts")),
            ("7".to_owned(), Err("the response lists no accounts")),
            (r#"[{"account_id":7}]"#.to_owned(), Err("the default account has no account_id or no base_uri")),
        ] {
            let found = default_account(format!("{{\"sub\":\"s\",\"accounts\":{accounts}}}").as_bytes());
            let found =
                found.as_ref().map(|members| (members[0].1.as_str(), members[1].1.as_str())).map_err(|why| *why);
            assert_eq!(found, wanted, "{accounts}");
        }
        assert_eq!(default_account(b"<html>"), Err("the response is not a JSON object"));
    }
}
