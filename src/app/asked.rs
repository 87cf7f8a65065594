//! What somebody asked for in the chat, and the ways to answer it: in the group or to the person alone, within a
//! transaction or as the end of the event.

use super::{App, Trouble, letters};
use crate::domain::ids::OpenId;
use crate::domain::language::Language;
use crate::feishu::event::{ChatKind, MessageReceived};
use crate::store::inbox::Claim;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{Text, answers};

/// A message from an admin or an approver, on its way through the desks.
pub struct Request<'a> {
    pub app: &'a App,
    pub claim: &'a Claim,
    pub message: &'a MessageReceived,
    /// `None` where the words do not tell: then the answer is in both.
    pub language: Option<Language>,
}

impl Request<'_> {
    pub fn person(&self) -> &OpenId {
        &self.message.sender
    }

    /// An answer in the language of the question; `purpose` tells it from other answers to the same.
    pub fn answer(&self, purpose: &str, text: &Text) -> Letter {
        letters::reply(self.message, purpose, text.said(self.language))
    }

    /// Answers what is not for everybody's eyes: in a group the answer goes to the person alone, and the group reads
    /// that it did.
    pub async fn finish_privately(&self, text: &Text) -> Result<(), Trouble> {
        let mut tx = self.app.store.begin().await?;
        self.post_privately(&mut tx, text).await?;
        tx.finish_event(self.claim).await?;
        tx.commit().await?;
        self.app.wake_all();
        Ok(())
    }

    /// As [`Self::finish_privately`], within a transaction of the caller's.
    pub async fn post_privately(&self, tx: &mut Tx, text: &Text) -> Result<(), StoreError> {
        if self.message.chat == ChatKind::Group {
            tx.post(&self.answer("sent-privately", &answers::sent_privately()), self.app.now()).await?;
        }
        self.post_privately_as(tx, "answer", text).await
    }

    /// Writes to the person alone, also where they asked in a group; `purpose` tells it from other answers.
    pub async fn post_privately_as(&self, tx: &mut Tx, purpose: &str, text: &Text) -> Result<(), StoreError> {
        let mut letter = self.answer(purpose, text);
        if self.message.chat == ChatKind::Group {
            letter.receiver = Receiver::Person(self.person().clone());
            letter.reply_to = None;
        }
        tx.post(&letter, self.app.now()).await
    }

    /// Answers in the person's language and ends the event.
    pub async fn finish_with(&self, text: &Text) -> Result<(), Trouble> {
        let mut tx = self.app.store.begin().await?;
        tx.post(&self.answer("answer", text), self.app.now()).await?;
        tx.finish_event(self.claim).await?;
        tx.commit().await?;
        self.app.wake_all();
        Ok(())
    }
}
