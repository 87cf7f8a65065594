//! The two pages of the authorization, as a browser sees them: one sends it on to Feishu, the other says how it ended.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use crate::app::App;
use crate::app::authorize::{self, Ended};
use crate::view::{Language, page};

#[derive(Deserialize)]
pub struct StartQuery {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
pub struct CallbackQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
}

/// `GET /oauth/start?state=…`: from the button on the login card to Feishu's consent page.
pub async fn start(request: HttpRequest, query: Option<web::Query<StartQuery>>, app: web::Data<App>) -> HttpResponse {
    let link = query.map(|query| query.into_inner().state).unwrap_or_default();
    match authorize::start(&app, &link) {
        Some(consent) => HttpResponse::Found()
            .insert_header((LOCATION, consent.as_str()))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header(("Referrer-Policy", "no-referrer"))
            .finish(),
        None => html(&request, &Ended::BadLink),
    }
}

/// `GET /oauth/callback`: back from Feishu, with a code or without.
pub async fn callback(
    request: HttpRequest,
    query: Option<web::Query<CallbackQuery>>,
    app: web::Data<App>,
) -> HttpResponse {
    let Some(query) = query else { return html(&request, &Ended::BadLink) };
    let query = query.into_inner();
    let ended = authorize::finish(&app, &query.state, query.code.as_deref()).await;
    html(&request, &ended)
}

fn html(request: &HttpRequest, ended: &Ended) -> HttpResponse {
    let status = match ended {
        Ended::Authorized { .. } => StatusCode::OK,
        Ended::Declined | Ended::BadLink => StatusCode::BAD_REQUEST,
        Ended::WrongPerson => StatusCode::FORBIDDEN,
        Ended::Refused { .. } => StatusCode::BAD_GATEWAY,
        Ended::TryAgain => StatusCode::SERVICE_UNAVAILABLE,
    };
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header((
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ))
        .body(page::page(&words(ended), matches!(ended, Ended::Authorized { .. }), language(request)))
}

fn words(ended: &Ended) -> page::Words {
    match ended {
        Ended::Authorized { waiting } => page::authorized(*waiting),
        Ended::Declined => page::declined(),
        Ended::BadLink => page::bad_link(),
        Ended::WrongPerson => page::wrong_person(),
        Ended::Refused { code } => page::refused(*code),
        Ended::TryAgain => page::try_again(),
    }
}

/// The first language the browser names that we speak; Chinese otherwise.
fn language(request: &HttpRequest) -> Language {
    let accepted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = accepted.split(',').find_map(|tag| match tag.trim().get(..2)?.to_ascii_lowercase().as_str() {
        "zh" => Some(Language::Zh),
        "en" => Some(Language::En),
        _ => None,
    });
    first.unwrap_or_default()
}
