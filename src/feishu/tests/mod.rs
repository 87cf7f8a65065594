//! The calls over real HTTP, against a server of a few lines that says what it is told to say.

mod calls;
mod login;
mod media;
mod people;
mod stub;
mod transport;
