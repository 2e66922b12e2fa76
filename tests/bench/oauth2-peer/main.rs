//! The cycle with the crate `oauth2`, as its documentation has it, with reqwest's blocking client.

use oauth2::basic::BasicClient;
use oauth2::reqwest::{Certificate, blocking::ClientBuilder, redirect};
use oauth2::{AuthUrl, ClientId, ClientSecret, RefreshToken, TokenUrl};
use serde_json::{Map, Value};
use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::var("DOCUSIGN_TOKEN_FILE")?;
    let mut stored: Map<String, Value> = serde_json::from_slice(&fs::read(&file)?)?;
    let refresh_token = stored.get("refresh_token").and_then(Value::as_str).ok_or("no refresh token")?;

    let endpoint = env::var("DOCUSIGN_TOKEN_ENDPOINT")?;
    let client = BasicClient::new(ClientId::new(env::var("DOCUSIGN_CLIENT_ID")?))
        .set_client_secret(ClientSecret::new(env::var("DOCUSIGN_CLIENT_SECRET")?))
        .set_auth_uri(AuthUrl::new(endpoint.clone())?)
        .set_token_uri(TokenUrl::new(endpoint)?);
    let root = Certificate::from_pem(&fs::read(env::var("SSL_CERT_FILE")?)?)?;
    let http = ClientBuilder::new()
        .redirect(redirect::Policy::none())
        .tls_built_in_root_certs(false)
        .add_root_certificate(root)
        .build()?;

    let answer = client.exchange_refresh_token(&RefreshToken::new(refresh_token.to_owned())).request(&http)?;
    if let Value::Object(answer) = serde_json::to_value(answer)? {
        stored.extend(answer);
    }
    let new = format!("{file}.new");
    fs::write(&new, serde_json::to_vec_pretty(&stored)?)?;
    fs::rename(new, file)?;
    Ok(())
}
