//! From what an author wrote, or replied to, to the content of a broadcast.
//!
//! A message is broadcast as what it is. Images belong to whoever sent them, so each is fetched from its message and
//! uploaded anew; that happens before anything is proposed, and what cannot be had refuses the command by its name.

use std::time::Duration;

use moka::future::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::asked::Request;
use super::{App, Trouble};
use crate::domain::command::{BroadcastOptions, BroadcastRequest};
use crate::domain::content::{Body, Content, POST_LOCALE};
use crate::domain::ids::{ChatId, MessageId, OpenId};
use crate::domain::lint::card::{self, Parsed};
use crate::feishu::error::{CallError, Class};
use crate::feishu::media::{IMAGE_BYTES_MAX, ResourceError, ResourceKind};
use crate::feishu::messages::FetchedMessage;
use crate::view::{Text, content as said};

/// Pixels of a GIF, and of any other image, on either side. Source: "Upload image", limits.
const GIF_SIDE_MAX: usize = 2_000;
const IMAGE_SIDE_MAX: usize = 12_000;

/// How long the key of an image is remembered, so that the same bytes are not uploaded again.
const IMAGE_TTL: Duration = Duration::from_secs(24 * 3600);

const IMAGES_MAX: u64 = 10_000;

/// The message is invisible to the bot. Source: "Get message", error codes.
const OUT_OF_SIGHT: i64 = 230_050;

/// Feishu does not know an image key, or not as this bot's. Source: batch_send, error codes.
const NO_SUCH_IMAGE: i64 = 11_227;

/// Keys of images that were uploaded a while ago, by SHA-256 of their bytes.
pub struct Images(Cache<[u8; 32], String>);

impl Images {
    pub fn new() -> Self {
        Self(Cache::builder().max_capacity(IMAGES_MAX).time_to_live(IMAGE_TTL).build())
    }

    /// Feishu's answer to a broadcast: where it says that it has no such image, none is taken for uploaded any more.
    pub fn heed(&self, code: Option<i64>) {
        if code == Some(NO_SUCH_IMAGE) {
            self.0.invalidate_all();
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a command has no content that could be broadcast.
pub enum NoContent {
    /// It is refused, in these words.
    Refused(Text),
    /// Feishu does not answer for the moment.
    Trouble(Trouble),
}

impl From<CallError> for NoContent {
    fn from(error: CallError) -> Self {
        if error.code() == Some(OUT_OF_SIGHT) {
            return NoContent::Refused(said::is_out_of_sight());
        }
        if error.message_is_gone() {
            return NoContent::Refused(said::is_gone());
        }
        match refusal(error) {
            Ok(why) => NoContent::Refused(said::not_to_be_had(&why)),
            Err(trouble) => NoContent::Trouble(trouble),
        }
    }
}

/// What Feishu has against it, for the end of a sentence; trouble where it may pass.
fn refusal(error: CallError) -> Result<Text, Trouble> {
    match (error.class(), error.code()) {
        (Class::Retry { .. } | Class::Reauthenticate, _) | (_, None) => Err(Trouble::Feishu(error)),
        (Class::FixSetup | Class::Permanent | Class::Unknown, Some(code)) => {
            let scopes: Vec<&str> = error.scopes().iter().map(String::as_str).collect();
            Ok(said::refusal(code, &scopes))
        }
    }
}

impl From<Text> for NoContent {
    fn from(text: Text) -> Self {
        NoContent::Refused(text)
    }
}

/// The content of a request, with images of the bot's own. Nothing is stored.
///
/// # Errors
/// [`NoContent`].
pub async fn gather(request: &Request<'_>, asked: &BroadcastRequest) -> Result<Content, NoContent> {
    let options = &asked.options;
    let lists_targets = asked.targets.contains(&crate::domain::command::Target::File);
    let content = match (&asked.content, &request.message.parent_id) {
        _ if options.template.is_some() => template(options),
        (Some(typed), _) if options.card => pasted_card(&typed.plain())?,
        (Some(typed), _) => return own_images(request.app, typed.clone(), &request.message.message_id).await,
        (None, Some(parent)) if !lists_targets => {
            let fetched = request.app.feishu.get_message(request.app.now(), parent).await?;
            replied_to(request, fetched, options.card).await?
        }
        (None, _) => return Err(said::no_content(lists_targets).into()),
    };
    if let Content::Card(card) = &content {
        check_card(request.app, card).await?;
    }
    Ok(content)
}

fn template(options: &BroadcastOptions) -> Content {
    let variables = options.vars.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    Content::Template {
        id: options.template.clone().unwrap_or_default(),
        version: None,
        variables: Map::from_iter(variables),
    }
}

fn pasted_card(typed: &str) -> Result<Content, NoContent> {
    Ok(match card::parse(typed).map_err(|fault| said::card_refused(&fault))? {
        Parsed::Card(card) => Content::Card(card),
        Parsed::Template { id, version, variables } => Content::Template { id, version, variables },
    })
}

/// Another message, broadcast as what it is.
async fn replied_to(request: &Request<'_>, fetched: FetchedMessage, as_card: bool) -> Result<Content, NoContent> {
    if fetched.deleted {
        return Err(said::is_gone().into());
    }
    let parsed: Value = serde_json::from_str(&fetched.content).unwrap_or_default();
    let field = |name: &str| parsed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let bot = request.app.bot.get();
    let content = match fetched.msg_type.as_str() {
        // What the bot says itself is an answer to somebody, not a message to everybody.
        "text" if fetched.sender_is_this_app => return Err(said::is_the_bots().into()),
        "text" if as_card => return pasted_card(&field("text")),
        // Whoever wants straight quotes puts the JSON into a block of code, which makes it a rich text.
        "post" if as_card => {
            let typed = fetched.posts().into_iter().next().map(|(_, post)| post.typed());
            return pasted_card(&typed.unwrap_or_default());
        }
        _ if as_card && fetched.msg_type != "interactive" => return Err(said::is_no_card(&fetched.msg_type).into()),
        "text" => Content::from_body(&Body::Text(field("text")), &fetched.mentions, bot),
        "post" => posts(&fetched, bot),
        "image" => Content::Image { image_key: field("image_key") },
        "share_chat" => {
            let chat_id = ChatId::new(field("chat_id")).ok_or_else(said::is_empty)?;
            return Ok(Content::ShareChat { chat_id });
        }
        "interactive" => return pasted_card(&fetched.content),
        "file" => return Err(said::is_a_file(&field("file_name")).into()),
        other => return Err(said::unsupported_message(other).into()),
    };
    if content.is_blank() {
        return Err(said::is_empty().into());
    }
    own_images(request.app, content, &fetched.message_id).await
}

fn posts(fetched: &FetchedMessage, bot: Option<&OpenId>) -> Content {
    let clean = |(locale, post)| match Content::from_body(&Body::Post(post), &fetched.mentions, bot) {
        Content::Post(mut one) => one.remove(POST_LOCALE).map(|post| (locale, post)),
        _ => None,
    };
    Content::Post(fetched.posts().into_iter().filter_map(clean).collect())
}

/// Replaces every image by the bot's own copy of it, fetched from the message in which it stands.
async fn own_images(app: &App, mut content: Content, message: &MessageId) -> Result<Content, NoContent> {
    if let Some(tag) = content.unsupported() {
        return Err(said::unsupported_part(tag).into());
    }
    let theirs = content.images();
    let mut ours = std::collections::HashMap::new();
    for (place, key) in theirs.iter().enumerate() {
        let number = (theirs.len() > 1).then_some(place + 1);
        let own = copy(app, message, key).await.map_err(|why| match why {
            NoImage::Unfit(why) => said::image_refused(number, &why).into(),
            NoImage::Call(error) if error.message_is_gone() => NoContent::from(error),
            NoImage::Call(error) => match refusal(error) {
                Ok(why) => said::image_refused(number, &why).into(),
                Err(trouble) => NoContent::Trouble(trouble),
            },
        })?;
        ours.insert(key.clone(), own);
    }
    for key in content.images_mut() {
        if let Some(own) = ours.get(key) {
            key.clone_from(own);
        }
    }
    Ok(content)
}

/// Why the bot has no copy of an image.
enum NoImage {
    /// Feishu would not take it, in words for the end of a sentence.
    Unfit(Text),
    Call(CallError),
}

/// Fetches one image and uploads it as the bot's; its key.
async fn copy(app: &App, message: &MessageId, key: &str) -> Result<String, NoImage> {
    let fetched = app.feishu.message_resource(app.now(), message, key, ResourceKind::Image, IMAGE_BYTES_MAX).await;
    let bytes = match fetched {
        Ok(bytes) => bytes,
        Err(ResourceError::TooLarge { bytes_max }) => return Err(NoImage::Unfit(said::image_too_large(bytes_max))),
        Err(ResourceError::Call(error)) => return Err(NoImage::Call(error)),
    };
    check_image(&bytes).map_err(NoImage::Unfit)?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    if let Some(key) = app.images.0.get(&digest).await {
        return Ok(key);
    }
    let key = app.feishu.upload_image(app.now(), bytes).await.map_err(NoImage::Call)?;
    app.images.0.insert(digest, key.clone()).await;
    Ok(key)
}

/// What Feishu would refuse of an image, told before it is asked. The bytes decide, whatever its name says.
fn check_image(bytes: &[u8]) -> Result<(), Text> {
    use imagesize::ImageType;
    if bytes.is_empty() {
        return Err(said::image_empty());
    }
    let Ok(kind) = imagesize::image_type(bytes) else { return Err(said::image_format()) };
    let takes = matches!(
        kind,
        ImageType::Jpeg
            | ImageType::Png
            | ImageType::Webp
            | ImageType::Gif
            | ImageType::Bmp
            | ImageType::Ico
            | ImageType::Tiff
            | ImageType::Heif(_)
    );
    if !takes {
        return Err(said::image_format());
    }
    let side_max = if kind == ImageType::Gif { GIF_SIDE_MAX } else { IMAGE_SIDE_MAX };
    match imagesize::blob_size(bytes) {
        Ok(size) if size.width > side_max || size.height > side_max => {
            Err(said::image_sides(size.width, size.height, side_max))
        }
        // A size that cannot be read is Feishu's to judge.
        _ => Ok(()),
    }
}

/// What Feishu would refuse of a card, and images in it that are not the bot's.
async fn check_card(app: &App, card: &Value) -> Result<(), NoContent> {
    let facts = card::check(card).map_err(|fault| said::card_refused(&fault))?;
    for (path, key) in &facts.image_keys {
        if !app.feishu.owns_image(app.now(), key).await? {
            return Err(said::foreign_image(path, key).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG's beginning, as far as its size.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn gif(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = b"GIF89a".to_vec();
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend([0; 16]);
        bytes
    }

    #[test]
    fn an_image_is_judged_by_its_bytes() {
        assert_eq!(check_image(&png(12_000, 10)), Ok(()));
        assert_eq!(check_image(&png(12_001, 10)), Err(said::image_sides(12_001, 10, IMAGE_SIDE_MAX)));
        assert_eq!(check_image(&gif(2_000, 2_000)), Ok(()));
        assert_eq!(check_image(&gif(10, 2_001)), Err(said::image_sides(10, 2_001, GIF_SIDE_MAX)));
        assert_eq!(check_image(b"%PDF-1.7 and more of it"), Err(said::image_format()));
        assert_eq!(check_image(b""), Err(said::image_empty()));
    }
}
