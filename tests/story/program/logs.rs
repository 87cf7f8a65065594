//! One broadcast in the log of machines: whichever step speaks, and whatever it speaks of, the line bears the id.

use serde_json::Value;

use super::Running;
use crate::sandbox::Fault;

/// The id of the broadcast that a line is about, and the step that wrote it.
fn about(line: &Value) -> Option<(&str, &str)> {
    let span = line["spans"].as_array()?.iter().rev().find(|span| span["broadcast"].is_string())?;
    let step = span["step"].as_str().or_else(|| span["name"].as_str())?;
    Some((span["broadcast"].as_str()?, step))
}

#[tokio::test]
async fn every_step_of_a_broadcast_is_found_by_its_id() -> anyhow::Result<()> {
    let mut running = Running::start(&[("LOG_FORMAT", "json")]).await?;
    let tenant = running.tenant.clone();
    // What goes wrong on the way is told of a call, and the call is of a broadcast.
    for endpoint in ["batch_send", "messages.patch", "batch.progress"] {
        tenant.fault(Fault::code(endpoint, 200, 99_991_400));
    }
    let to = tenant.person("陈晨").open_id;
    tenant.person("王芳").says(&format!("/broadcast {to} 不该进日志的通知")).await;
    let card = tenant.person("赵磊").next_card().await.map_err(anyhow::Error::msg)?;
    tenant.person("赵磊").presses(&card, "approve").await.map_err(anyhow::Error::msg)?;
    let asked_twice = |tenant: &crate::sandbox::Tenant| tenant.calls_to("batch.progress").len() > 1;
    running.until("it is sent and asked about", asked_twice).await?;
    running.signal("TERM").await?;
    let said = running.output();
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let id =
        lines.iter().find(|line| line["message"] == "a broadcast was proposed").expect("a line")["broadcast"].clone();
    let id = id.as_str().expect("an id");
    let told = |step: &str, message: &str| {
        lines.iter().any(|line| {
            about(line) == Some((id, step)) && line["message"].as_str().is_some_and(|said| said.contains(message))
        })
    };
    for (step, message) in [
        ("event", "a broadcast was proposed"),
        ("press", "a press was decided"),
        ("dispatch", "a batch was tried"),
        ("dispatch", "Feishu refused batch_send"),
        ("card", "Feishu refused patch_card"),
        ("report", "Feishu refused batch_progress"),
    ] {
        assert!(told(step, message), "no line of {step} with “{message}” bears {id}:\n{said}");
    }
    Ok(())
}
