//! What the store holds of one broadcast, and the statements of a transaction with the conditions they carry: a
//! revision that nobody may have raised, a state that a batch must still be in, a fence that only one sender has.
//!
//! Nothing here waits for a lock. On the real databases the row of the broadcast is locked first; that the conditions
//! alone are enough is part of what is checked.

use std::rc::Rc;

use feishu_broadcast::domain::batch::{Batch, BatchState, Outcome, Progress};
use feishu_broadcast::domain::broadcast::{Broadcast, State};
use feishu_broadcast::domain::ids::Timestamp;
use feishu_broadcast::domain::recall::Recall;
use feishu_broadcast::domain::report::Report;

/// Somebody else was faster: all of the transaction is as if it had never been.
#[derive(Debug)]
pub(super) struct Conflict;

#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) broadcast: Broadcast,
    pub(super) rows: Vec<Row>,
}

/// A batch with the numbers that tell its senders apart, and those who ask for it back.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) batch: Batch,
    pub(super) fence: i64,
    /// Feishu is to be asked for it back, now or once a lease has run out.
    pub(super) recall_due: bool,
    pub(super) recall_tries: i64,
}

impl Row {
    /// What Feishu counted and what was asked back stand in columns of their own.
    fn write(&mut self, batch: &Batch) {
        let recall = self.batch.recall.take();
        self.batch = Batch { progress: self.batch.progress, recall, ..batch.clone() };
    }
}

/// What a transaction writes, with the `where` of the real statement.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    UpdateBroadcast { after: Box<Broadcast>, read: i64 },
    InsertBatches { count: usize },
    ClaimBatch { seq: i64, now: Timestamp, lease_until: Timestamp },
    MoveBatch { batch: Batch, from: BatchState },
    SettleBatch { batch: Batch, fence: i64 },
    WantRecall { seq: i64 },
    ClaimRecall { seq: i64, tries: i64 },
    SettleRecall { seq: i64, tries: i64, recall: Recall, again: bool },
    RecordProgress { seq: i64, progress: Option<Progress>, recall: Option<Recall> },
}

impl Ledger {
    pub(super) fn batches(&self) -> Vec<Batch> {
        self.rows.iter().map(|row| row.batch.clone()).collect()
    }

    pub(super) fn report(&self) -> Report {
        Report::of(&self.batches())
    }

    pub(super) fn row(&self, seq: i64) -> &Row {
        self.rows.iter().find(|row| row.batch.seq == seq).expect("only batches of the plan are spoken of")
    }

    pub(super) fn insert_batches(&mut self, count: usize) {
        self.rows = (1..)
            .take(count)
            .map(|seq| Row {
                batch: Batch {
                    broadcast: self.broadcast.id.clone(),
                    seq,
                    state: BatchState::Planned,
                    ids: 1,
                    heads: 1,
                    attempts: 0,
                    not_before: Timestamp(0),
                    outcome: Outcome::default(),
                    progress: None,
                    recall: None,
                },
                fence: 0,
                recall_due: false,
                recall_tries: 0,
            })
            .collect();
    }

    /// The batch that may be claimed: the first that is planned, of a broadcast that is released and not on hold, with
    /// none in doubt, and in the first wave as long as there is a gate behind that.
    pub(super) fn next_batch(&self, now: Timestamp) -> Option<i64> {
        let released =
            self.broadcast.hold.is_none() && matches!(self.broadcast.state, State::Approved | State::Sending);
        let doubtful = self.rows.iter().any(|row| row.batch.state == BatchState::InDoubt);
        let first = self.rows.iter().find(|row| row.batch.state == BatchState::Planned)?;
        let gate = self.broadcast.wave.and_then(|wave| wave.gate());
        let passes = gate.is_none_or(|gate| first.batch.seq <= gate);
        (released && !doubtful && passes && first.batch.not_before <= now).then_some(first.batch.seq)
    }

    fn row_where(&mut self, seq: i64, holds: impl Fn(&Row) -> bool) -> Result<&mut Row, Conflict> {
        self.rows.iter_mut().find(|row| row.batch.seq == seq && holds(row)).ok_or(Conflict)
    }

    fn run(&mut self, statement: &Statement) -> Result<(), Conflict> {
        match statement {
            Statement::UpdateBroadcast { after, read } => {
                if self.broadcast.revision != *read {
                    return Err(Conflict);
                }
                self.broadcast = (**after).clone();
            }
            Statement::InsertBatches { count } => self.insert_batches(*count),
            Statement::ClaimBatch { seq, now, lease_until } => {
                if self.next_batch(*now) != Some(*seq) {
                    return Err(Conflict);
                }
                let row = self.row_where(*seq, |_| true)?;
                row.batch.state = BatchState::Sending;
                row.batch.not_before = *lease_until;
                row.batch.attempts += 1;
                row.fence += 1;
            }
            Statement::MoveBatch { batch, from } => {
                let row = self.row_where(batch.seq, |row| row.batch.state == *from)?;
                row.write(batch);
                row.fence += 1;
            }
            Statement::SettleBatch { batch, fence } => {
                let mine = |row: &Row| row.fence == *fence && row.batch.state == BatchState::Sending;
                self.row_where(batch.seq, mine)?.write(batch);
            }
            Statement::WantRecall { seq } => {
                let row = self.row_where(*seq, |row| row.batch.state == BatchState::Accepted)?;
                row.batch.recall = Some(Recall::wanted());
                row.recall_due = true;
                row.recall_tries += 1;
            }
            Statement::ClaimRecall { seq, tries } => {
                // Whoever claims it moves the moment at which it is due: for another one it is not, before the lease is over.
                let due = |row: &Row| row.recall_due && row.recall_tries == *tries;
                self.row_where(*seq, due)?.recall_tries += 1;
            }
            Statement::SettleRecall { seq, tries, recall, again } => {
                let row = self.row_where(*seq, |row| row.recall_tries == *tries)?;
                row.batch.recall = Some(recall.clone());
                row.recall_due = *again;
            }
            Statement::RecordProgress { seq, progress, recall } => {
                let row = self.row_where(*seq, |_| true)?;
                row.batch.progress = progress.or(row.batch.progress);
                row.batch.recall = recall.clone().or(row.batch.recall.take());
            }
        }
        Ok(())
    }
}

/// A transaction: it reads what was there when it began, and its own writes.
pub(super) struct Tx {
    pub(super) sees: Rc<Ledger>,
    statements: Vec<Statement>,
}

impl Tx {
    pub(super) fn begin(ledger: &Rc<Ledger>) -> Self {
        Self { sees: Rc::clone(ledger), statements: Vec::new() }
    }

    pub(super) fn run(&mut self, statement: Statement) -> Result<(), Conflict> {
        Rc::make_mut(&mut self.sees).run(&statement)?;
        self.statements.push(statement);
        Ok(())
    }

    /// Whether it is going to write anything.
    pub(super) fn writes(&self) -> bool {
        !self.statements.is_empty()
    }

    /// Everything it is going to write.
    pub(super) fn statements(self) -> Vec<Statement> {
        self.statements
    }
}

/// Commits on top of whatever the ledger holds by now, all or nothing.
pub(super) fn commit(ledger: &Ledger, statements: &[Statement]) -> Result<Rc<Ledger>, Conflict> {
    let outrun = |statement: &Statement| match statement {
        Statement::UpdateBroadcast { read, .. } => *read != ledger.broadcast.revision,
        Statement::InsertBatches { .. }
        | Statement::ClaimBatch { .. }
        | Statement::MoveBatch { .. }
        | Statement::SettleBatch { .. }
        | Statement::WantRecall { .. }
        | Statement::ClaimRecall { .. }
        | Statement::SettleRecall { .. }
        | Statement::RecordProgress { .. } => false,
    };
    // The same answer as below, without the work.
    if statements.iter().any(outrun) {
        return Err(Conflict);
    }
    let mut after = ledger.clone();
    for statement in statements {
        after.run(statement)?;
    }
    Ok(Rc::new(after))
}
