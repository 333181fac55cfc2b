//! `/connector-plugins`: what a `connector.class` can be, and whether a configuration is good.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value};
use tidegate_model::connector_config;

use crate::Api;
use crate::body::{self, config_map};
use crate::error::ApiError;
use crate::shapes;

pub(crate) async fn list(State(api): State<Api>) -> Json<Value> {
    Json(
        api.worker
            .plugins()
            .iter()
            .map(shapes::connector_plugin)
            .collect(),
    )
}

pub(crate) async fn definitions(
    State(api): State<Api>,
    Path(class): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let versions = api.worker.plugin(&class)?;
    let newest = versions.last();
    let own = newest.map(|p| p.description.definitions.clone());
    let framework = newest.map(|p| connector_config::definitions(p.kind));
    let all = own.into_iter().chain(framework).flatten();
    Ok(Json(
        (1..)
            .zip(all)
            .map(|(order, d)| shapes::definition(&d, order))
            .collect(),
    ))
}

pub(crate) async fn validate(
    State(api): State<Api>,
    Path(class): Path<String>,
    body::Json(fields): body::Json<Map<String, Value>>,
) -> Result<Json<Value>, ApiError> {
    let config = config_map(fields)?;
    let Some(included) = config.get("connector.class") else {
        return Err(ApiError::new(
            500,
            "the configuration contains no connector type (connector.class)",
        ));
    };
    // The path may say it by another of the plugin's names.
    let same = included == &class
        || api
            .worker
            .plugin(&class)
            .is_ok_and(|p| p.iter().any(|p| p.answers_to(included)));
    if !same {
        return Err(ApiError::new(
            400,
            format!("Included connector type {included} does not match request type {class}"),
        ));
    }
    Ok(Json(shapes::validation(
        &api.worker.validate(&config).await?,
    )))
}
