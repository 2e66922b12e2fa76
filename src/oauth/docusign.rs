//! What is Docusign's own.

use super::client::percent_encoded;

/// Where a human authorizes a client (RFC 6749, section 4.1.1), with the scope that lets the login
/// outlive its 30th day. Holds no secret; the redirect URI is the user's to fill in.
pub fn authorization_url(host: &str, client_id: &str) -> String {
    let client_id = percent_encoded(client_id);
    format!(
        "https://{host}/oauth/auth?response_type=code&scope=signature%20extended&client_id={client_id}&redirect_uri=YOUR_REDIRECT_URI"
    )
}
