//! Images and files: those of other people's messages come in, those of the bot go out.
//!
//! A key belongs to the app that uploaded it, and to nobody else: what a person has sent must be fetched from its message
//! and uploaded anew before the bot can send it on. Uploading twice makes two keys and harms nobody. Names and kinds that
//! come along with a file are what its sender says, so they are not read here; the bytes tell. Sources: the pages "Get
//! resource files of a message", "Upload image", "Download image" and "Upload file" of `im/v1`.

use bytes::Bytes;

use super::answer::open;
use super::client::{Ask, Feishu, Form, fits_path};
use super::codes::Call;
use super::error::CallError;
use super::wire::text;
use crate::domain::ids::{MessageId, Timestamp};

/// Bytes an image may have. Source: "Upload image", limits.
pub const IMAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Bytes a file may have. Source: "Upload file", limits.
pub const FILE_BYTES_MAX: usize = 30 * 1024 * 1024;

/// What is fetched from a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// An image message, or an image in a rich text.
    Image,
    /// A file, a sound or a video.
    File,
}

impl ResourceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::File => "file",
        }
    }
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// Nothing was kept of it.
    #[error("the file has more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Feishu {
    /// Fetches an image or a file from the message that holds it, into memory, and gives up as soon as it has more than
    /// `bytes_max`; a timeout of 30 s. Feishu itself gives out 100 MB at most, and nothing out of cards.
    ///
    /// # Errors
    /// [`ResourceError`].
    pub async fn message_resource(
        &self,
        now: Timestamp,
        message: &MessageId,
        key: &str,
        kind: ResourceKind,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ResourceError> {
        let ask = Ask::get(Call::MessageResource).id(message.as_str()).id(key).with("type", kind.as_str());
        let read = |call, response| async move { open(call, response).await?.bytes(bytes_max).await };
        self.read_as_app(now, &ask, read).await?.ok_or(ResourceError::TooLarge { bytes_max })
    }

    /// Uploads an image for use in messages, and gives its key; a timeout of 30 s. It has at most [`IMAGE_BYTES_MAX`]
    /// bytes, and a format and a size in pixels that Feishu takes: the refusals of others say so.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn upload_image(&self, now: Timestamp, bytes: Vec<u8>) -> Result<String, CallError> {
        let form = Form { fields: vec![("image_type", "message")], part: "image", bytes: Bytes::from(bytes) };
        self.upload(now, Call::UploadImage, form, "/data/image_key").await
    }

    /// Uploads a file of any kind, and gives its key; a timeout of 30 s. It has at most [`FILE_BYTES_MAX`] bytes, and
    /// `name` is what people see.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn upload_file(&self, now: Timestamp, name: &str, bytes: Vec<u8>) -> Result<String, CallError> {
        let fields = vec![("file_type", "stream"), ("file_name", name)];
        let form = Form { fields, part: "file", bytes: Bytes::from(bytes) };
        self.upload(now, Call::UploadFile, form, "/data/file_key").await
    }

    async fn upload(&self, now: Timestamp, call: Call, form: Form<'_>, key: &str) -> Result<String, CallError> {
        let answer = self.ask_as_app(now, &Ask::upload(call, form)).await?;
        match text(&answer.body, key).filter(|key| !key.is_empty()) {
            Some(key) => Ok(key.to_owned()),
            None => Err(answer.incomplete()),
        }
    }

    /// Whether an image key is the bot's own, so that it may send it. The image itself is not read.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn owns_image(&self, now: Timestamp, key: &str) -> Result<bool, CallError> {
        if !fits_path(key) {
            return Ok(false);
        }
        match self.read_as_app(now, &Ask::get(Call::Image).id(key), open).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused(refusal)) if refusal.call.says_absent(refusal.code) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
