//! Requests that the router sends itself, in its operator's name: a client's way from admission on, without a key
//! (dashboard §5.11).

use std::rc::Rc;
use std::sync::Arc;

use actix_http::Request;
use actix_service::{IntoServiceFactory, Service, ServiceFactory};
use actix_web::dev::AppConfig;
use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest, HttpResponse};
use ninerouter_dialect::{ErrorKind, ErrorShape};
use tracing::error;

use crate::actors::live::follow::Follower;
use crate::gateway::admission::{Door, Visitor};
use crate::gateway::reply::Refusal;
use crate::gateway::route::{RouteResult, route};
use crate::gateway::serve::serve;
use crate::gateway::worker::Worker;

/// Answers a request of the operator's, whom the management API has admitted. `id` names its row and its answer.
///
/// The library makes its requests for an app alone, so it gets one, with nothing in it but this.
pub async fn serve_own(
    worker: Rc<Worker>,
    request: Request,
    id: &str,
    follower: Option<Follower>,
) -> HttpResponse {
    let known: Arc<str> = id.into();
    let app = App::new().default_service(web::to(move |http, payload| {
        answer(Rc::clone(&worker), Arc::clone(&known), follower.clone(), http, payload)
    }));
    let answered = match app.into_factory().new_service(AppConfig::default()).await {
        Ok(service) => service.call(request).await.ok(),
        Err(()) => None,
    };
    answered.map(|answered| answered.into_parts().1).unwrap_or_else(|| {
        error!(request.id = %id, "a request of the router's own could not be made");
        Refusal::new(ErrorKind::Server, "the router failed on this request; see its log")
            .render(ErrorShape::Chat, id)
    })
}

async fn answer(
    worker: Rc<Worker>,
    request_id: Arc<str>,
    follower: Option<Follower>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let matched = match route(http.method().as_str(), http.uri().path(), false) {
        RouteResult::Match(matched) => matched,
        _ => {
            return Refusal::new(ErrorKind::NotFound, "no such endpoint")
                .code("not_found")
                .render(ErrorShape::Chat, &request_id);
        }
    };
    let shape = matched.shape;
    let visitor = Visitor::Operator { follower };
    let door = Door::new(worker, http, Arc::clone(&request_id), matched, visitor);
    match serve(door, payload).await {
        Ok(reply) => reply,
        Err(refusal) => refusal.render(shape, &request_id),
    }
}
