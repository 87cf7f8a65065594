//! What is at hand around a broadcast: its command taken back, the menu and the greeting, the deadline that comes near,
//! the content written anew, and what its people have received lately.

mod death;
mod edit;
mod heard;
mod menu;
mod recall;
mod remind;

use crate::sandbox::ChatMessage;
use crate::stage::Stage;

/// What the bot wrote to a person, as text, that holds these words.
fn told(stage: &Stage, name: &str, words: &str) -> Vec<ChatMessage> {
    let chat = stage.person(name).chat();
    chat.into_iter().filter(|said| said.from_bot && said.msg_type == "text" && said.text.contains(words)).collect()
}

/// The bot wrote these words to a person, and wrote them once.
fn once(stage: &Stage, name: &str, words: &str) {
    let told = told(stage, name, words);
    assert_eq!(told.len(), 1, "{name} was told {words:?} {} times: {told:?}", told.len());
}
