//! Images and files: what the bot uploads, and what people attached.

use serde_json::json;

use super::super::world::{Upload, World};
use super::messages::{bot_is_in, wrong};
use super::pictures::look;
use super::{Ask, Reply};

const IMAGE_BYTES_MAX: usize = 10 << 20;
const FILE_BYTES_MAX: usize = 30 << 20;
/// Bytes of a resource that can be downloaded.
const DOWNLOAD_BYTES_MAX: usize = 100 << 20;
/// Pixels on each side of a GIF, and of other images.
const GIF_SIDE_MAX: u32 = 2_000;
const SIDE_MAX: u32 = 12_000;

/// One part of a multipart body.
struct Part {
    name: String,
    filename: Option<String>,
    bytes: Vec<u8>,
}

/// Takes a multipart body apart; `None` where it is none.
fn parts(ask: &Ask) -> Option<Vec<Part>> {
    let kind = ask.header("content-type")?;
    let boundary = kind.split("boundary=").nth(1)?.trim_matches('"');
    let line = format!("--{boundary}").into_bytes();
    let mut found = vec![];
    let mut rest = &ask.bytes[position(&ask.bytes, &line)? + line.len()..];
    while rest.starts_with(b"\r\n") {
        let end = position(rest, &line)?;
        let part = rest.get(2..end.checked_sub(2)?)?;
        let split = position(part, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&part[..split]).into_owned();
        let value = |key: &str| {
            let at = head.find(&format!("{key}=\""))? + key.len() + 2;
            head.get(at..)?.split('"').next().map(str::to_owned)
        };
        let disposition = head.replace("filename=", "FILE=");
        let name = disposition.split("name=\"").nth(1).and_then(|rest| rest.split('"').next())?.to_owned();
        found.push(Part { name, filename: value("filename"), bytes: part[split + 4..].to_vec() });
        rest = &rest[end + line.len()..];
    }
    Some(found)
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The fields and the file of an upload, or the refusal.
fn upload(world: &mut World, ask: &Ask, endpoint: &str, file: &str) -> Result<(Vec<Part>, Upload), Reply> {
    let Some(mut parts) = parts(ask) else {
        return Err(wrong(world, endpoint, 234_001, "no multipart body"));
    };
    let Some(at) = parts.iter().position(|part| part.name == file) else {
        return Err(wrong(world, endpoint, 234_001, &format!("there is no part {file}")));
    };
    let part = parts.remove(at);
    if part.filename.is_none() {
        // One official SDK sends none and is served; elsewhere such a part was not seen as a file.
        world.violation(format!("{endpoint}: the part {file} has no filename"));
    }
    if !world.app.bot_ability {
        return Err(Reply::fail(400, 234_007, "App does not enable bot feature."));
    }
    if part.bytes.is_empty() {
        return Err(wrong(world, endpoint, 234_010, "the file is empty"));
    }
    let name = part.filename.unwrap_or_default();
    Ok((parts, Upload { name, bytes: part.bytes }))
}

fn field(parts: &[Part], name: &str) -> String {
    let found = parts.iter().find(|part| part.name == name);
    found.map(|part| String::from_utf8_lossy(&part.bytes).into_owned()).unwrap_or_default()
}

/// `images`
pub fn image(world: &mut World, ask: &Ask) -> Reply {
    let (parts, upload) = match upload(world, ask, "images.create", "image") {
        Ok(upload) => upload,
        Err(reply) => return reply,
    };
    if !["message", "avatar"].contains(&field(&parts, "image_type").as_str()) {
        return wrong(world, "images.create", 234_001, "image_type is message or avatar");
    }
    if upload.bytes.len() > IMAGE_BYTES_MAX {
        return Reply::fail(400, 234_006, "The file size exceed the max value.");
    }
    let Some(picture) = look(&upload.bytes) else {
        return Reply::fail(400, 234_011, "Can't recognize the image format.");
    };
    let most = if picture.gif { GIF_SIDE_MAX } else { SIDE_MAX };
    if picture.pixels.is_some_and(|(width, height)| width > most || height > most) {
        return Reply::fail(400, 234_039, "Image resolution exceeds limit.");
    }
    let key = world.fresh_id("img_v3_");
    world.images.insert(key.clone(), upload);
    Reply::ok(json!({"image_key": key}))
}

/// `files`
pub fn file(world: &mut World, ask: &Ask) -> Reply {
    let (parts, mut upload) = match upload(world, ask, "files.create", "file") {
        Ok(upload) => upload,
        Err(reply) => return reply,
    };
    let kind = field(&parts, "file_type");
    if !["opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"].contains(&kind.as_str()) {
        return wrong(world, "files.create", 234_001, "unknown file_type");
    }
    if upload.bytes.len() > FILE_BYTES_MAX {
        return Reply::fail(400, 234_006, "The file size exceed the max value.");
    }
    upload.name = field(&parts, "file_name");
    if upload.name.is_empty() {
        return wrong(world, "files.create", 234_001, "file_name is required");
    }
    let key = world.fresh_id("file_v3_");
    world.files.insert(key.clone(), upload);
    Reply::ok(json!({"file_key": key}))
}

/// A file as it is given out, with the content type of its name's end.
fn binary(bytes: Vec<u8>, name: &str) -> Reply {
    let kind = match name.rsplit('.').next().unwrap_or_default() {
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "gif" => "image/gif",
        "csv" => "text/csv",
        "txt" => "text/plain",
        "json" => "application/json",
        _ => "application/octet-stream",
    };
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let mut reply = Reply::html(200, "").with("Content-Disposition", format!("attachment; filename*=UTF-8''{name}"));
    reply.content_type = kind.into();
    reply.bytes = bytes;
    reply
}

/// `images/:key`
pub fn get_image(world: &mut World, ask: &Ask) -> Reply {
    if !world.app.bot_ability {
        return Reply::fail(400, 234_007, "App does not enable bot feature.");
    }
    match world.images.get(&ask.params[0]) {
        Some(image) => binary(image.bytes.clone(), "image"),
        None => not_ours(world),
    }
}

/// `files/:key`
pub fn get_file(world: &mut World, ask: &Ask) -> Reply {
    match world.files.get(&ask.params[0]) {
        Some(file) => binary(file.bytes.clone(), "file"),
        None => not_ours(world),
    }
}

/// A key that nobody knows, and one of another app: the simulated tenant has no other apps, so it may be either.
fn not_ours(world: &mut World) -> Reply {
    if world.chance(2) {
        Reply::fail(400, 234_005, "Image has been deleted")
    } else {
        Reply::fail(400, 234_008, "The app is not the resource sender")
    }
}

/// `messages/:id/resources/:key`: what a person attached to this very message.
pub fn resource(world: &mut World, ask: &Ask) -> Reply {
    let Some(kind) = ask.query("type").filter(|kind| ["image", "file"].contains(kind)) else {
        return wrong(world, "messages.resource", 234_001, "type is image or file");
    };
    let Some(message) = world.message(&ask.params[0]) else {
        return Reply::fail(400, 234_003, "File not in msg.");
    };
    if message.deleted {
        return Reply::fail(400, 230_110, "The message has been deleted.");
    }
    if !bot_is_in(world, &message.chat_id) {
        return Reply::fail(400, 234_004, "App not in chat.");
    }
    if matches!(message.msg_type.as_str(), "interactive" | "merge_forward") {
        return Reply::fail(400, 234_043, "Unsupported message type.");
    }
    match message.attachments.get(&ask.params[1]) {
        None => Reply::fail(400, 234_003, "File not in msg."),
        Some(_) if (kind == "image") != ask.params[1].starts_with("img_") => {
            Reply::fail(400, 234_001, "the key does not match the type")
        }
        Some((_, bytes)) if bytes.len() > DOWNLOAD_BYTES_MAX => {
            Reply::fail(400, 234_037, "Downloaded file size exceeds limit.")
        }
        Some((name, bytes)) => binary(bytes.clone(), name),
    }
}
