//! Feishu's error codes, sorted by what they allow the machine to do.
//!
//! One number can mean different things at different endpoints (`10003` is a wrong app id at the token endpoint and a
//! wrong parameter elsewhere), so a code is read together with the call that got it; the endpoint's own table goes
//! before the table every endpoint shares. A code in no table is [`Class::Unknown`].
//! Sources: "Generic error codes", and the error tables of the endpoints named at each list.

use super::error::Class;

/// The calls this program makes. Bounded, so that it can label logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    TenantToken,
    BotInfo,
    SendMessage,
    ReplyMessage,
    PatchCard,
    GetMessage,
    MessageResource,
    UploadImage,
    UploadFile,
    Image,
    BatchSend,
    BatchProgress,
    BatchReaders,
    RecallBatch,
    SearchDepartments,
    Departments,
    ChildDepartments,
    FindByAddress,
    Person,
    People,
    DepartmentMembers,
    GroupMembers,
    OauthToken,
    UserInfo,
    GrantedScopes,
    ContactRange,
}

impl Call {
    pub const ALL: [Self; 26] = [
        Self::TenantToken,
        Self::BotInfo,
        Self::SendMessage,
        Self::ReplyMessage,
        Self::PatchCard,
        Self::GetMessage,
        Self::MessageResource,
        Self::UploadImage,
        Self::UploadFile,
        Self::Image,
        Self::BatchSend,
        Self::BatchProgress,
        Self::BatchReaders,
        Self::RecallBatch,
        Self::SearchDepartments,
        Self::Departments,
        Self::ChildDepartments,
        Self::FindByAddress,
        Self::Person,
        Self::People,
        Self::DepartmentMembers,
        Self::GroupMembers,
        Self::OauthToken,
        Self::UserInfo,
        Self::GrantedScopes,
        Self::ContactRange,
    ];

    /// The path below the origin; a segment that begins with a colon stands for an id.
    pub fn path(self) -> &'static str {
        match self {
            Self::TenantToken => "/open-apis/auth/v3/tenant_access_token/internal",
            Self::BotInfo => "/open-apis/bot/v3/info",
            Self::SendMessage => "/open-apis/im/v1/messages",
            Self::ReplyMessage => "/open-apis/im/v1/messages/:message_id/reply",
            Self::PatchCard | Self::GetMessage => "/open-apis/im/v1/messages/:message_id",
            Self::MessageResource => "/open-apis/im/v1/messages/:message_id/resources/:file_key",
            Self::UploadImage => "/open-apis/im/v1/images",
            Self::UploadFile => "/open-apis/im/v1/files",
            Self::Image => "/open-apis/im/v1/images/:image_key",
            // The trailing slash belongs to it.
            Self::BatchSend => "/open-apis/message/v4/batch_send/",
            Self::BatchProgress => "/open-apis/im/v1/batch_messages/:batch_message_id/get_progress",
            Self::BatchReaders => "/open-apis/im/v1/batch_messages/:batch_message_id/read_user",
            Self::RecallBatch => "/open-apis/im/v1/batch_messages/:batch_message_id",
            Self::SearchDepartments => "/open-apis/contact/v3/departments/search",
            Self::Departments => "/open-apis/contact/v3/departments/batch",
            Self::ChildDepartments => "/open-apis/contact/v3/departments/:department_id/children",
            Self::FindByAddress => "/open-apis/contact/v3/users/batch_get_id",
            Self::Person => "/open-apis/contact/v3/users/:user_id",
            Self::People => "/open-apis/contact/v3/users/batch",
            Self::DepartmentMembers => "/open-apis/contact/v3/users/find_by_department",
            Self::GroupMembers => "/open-apis/contact/v3/group/:group_id/member/simplelist",
            Self::OauthToken => "/open-apis/authen/v2/oauth/token",
            Self::UserInfo => "/open-apis/authen/v1/user_info",
            Self::GrantedScopes => "/open-apis/application/v6/scopes",
            Self::ContactRange => "/open-apis/contact/v3/scopes",
        }
    }

    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TenantToken => "tenant_token",
            Self::BotInfo => "bot_info",
            Self::SendMessage => "send_message",
            Self::ReplyMessage => "reply_message",
            Self::PatchCard => "patch_card",
            Self::GetMessage => "get_message",
            Self::MessageResource => "message_resource",
            Self::UploadImage => "upload_image",
            Self::UploadFile => "upload_file",
            Self::Image => "image",
            Self::BatchSend => "batch_send",
            Self::BatchProgress => "batch_progress",
            Self::BatchReaders => "batch_readers",
            Self::RecallBatch => "recall_batch",
            Self::SearchDepartments => "search_departments",
            Self::Departments => "departments",
            Self::ChildDepartments => "child_departments",
            Self::FindByAddress => "find_by_address",
            Self::Person => "person",
            Self::People => "people",
            Self::DepartmentMembers => "department_members",
            Self::GroupMembers => "group_members",
            Self::OauthToken => "oauth_token",
            Self::UserInfo => "user_info",
            Self::GrantedScopes => "granted_scopes",
            Self::ContactRange => "contact_range",
        }
    }

    /// The endpoint's own table; empty where the shared one says it all.
    pub fn table(self) -> Table {
        match self {
            Self::TenantToken => TOKEN,
            Self::SendMessage | Self::ReplyMessage | Self::PatchCard | Self::GetMessage => MESSAGES,
            Self::MessageResource | Self::UploadImage | Self::UploadFile | Self::Image => MEDIA,
            Self::BatchSend => BATCH_SEND,
            Self::BatchProgress | Self::BatchReaders => BATCH_FOLLOW,
            Self::RecallBatch => RECALL,
            Self::SearchDepartments
            | Self::Departments
            | Self::ChildDepartments
            | Self::FindByAddress
            | Self::Person
            | Self::People
            | Self::DepartmentMembers
            | Self::GroupMembers
            | Self::ContactRange => CONTACTS,
            Self::GrantedScopes => APPLICATION,
            Self::BotInfo | Self::OauthToken | Self::UserInfo => Table::EMPTY,
        }
    }

    /// Whether `code` is this call's way to say that there is no such thing, or none that the app may see: an answer to
    /// an honest question. The pages name some of these codes, the table every endpoint shares the others.
    pub fn says_absent(self, code: i64) -> bool {
        match self {
            Self::Image => matches!(code, 234005 | 234008),
            Self::Person | Self::People => {
                matches!(code, 41012 | 41050 | 99992351 | 99992359 | 99992360 | 99992363 | 99992364 | 99992381)
            }
            Self::DepartmentMembers => code == 40015,
            Self::GroupMembers => code == 42002,
            _ => false,
        }
    }

    /// Where the items of a list stand in its answer; of one in several parts, where each of them does.
    pub fn items(self) -> &'static [&'static str] {
        match self {
            Self::GroupMembers => &["/data/memberlist"],
            Self::ContactRange => &["/data/department_ids", "/data/user_ids", "/data/group_ids"],
            _ => &["/data/items"],
        }
    }
}

/// Codes by class. A list for each class that has codes of its own; `unknown` names those whose outcome is documented
/// as not knowable, so that the shared table cannot promise more.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub retry: &'static [i64],
    pub reauthenticate: &'static [i64],
    pub fix_setup: &'static [i64],
    pub permanent: &'static [i64],
    pub unknown: &'static [i64],
}

impl Table {
    const EMPTY: Self = Self { retry: &[], reauthenticate: &[], fix_setup: &[], permanent: &[], unknown: &[] };

    fn class(self, code: i64) -> Option<Class> {
        if self.unknown.contains(&code) {
            Some(Class::Unknown)
        } else if self.retry.contains(&code) {
            Some(Class::Retry { after: None })
        } else if self.reauthenticate.contains(&code) {
            Some(Class::Reauthenticate)
        } else if self.fix_setup.contains(&code) {
            Some(Class::FixSetup)
        } else if self.permanent.contains(&code) {
            Some(Class::Permanent)
        } else {
            None
        }
    }
}

/// What `code` means as an answer to `call`.
pub fn class_of(call: Call, code: i64) -> Class {
    call.table().class(code).or_else(|| GENERIC.class(code)).unwrap_or(Class::Unknown)
}

/// Any endpoint may return these. Source: "Generic error codes" and "How to fix" pages of the API call guide.
pub const GENERIC: Table = Table {
    retry: &[
        99991400, // gateway rate limit
        2200, 1500, 1663, 1668, 5000, 10101, // internal errors
    ],
    reauthenticate: &[
        99991661, 99991663, 99991664, 99991665, 99991671, 10005, 10013, 20013, 20014, // the app's token
        99991668, 99991669, 99991677, 99991679, 20005, // a person's token
    ],
    fix_setup: &[99991401, 99991403, 99991662, 99991672, 99991673, 99991676, 99992361, 10012, 10014, 10015],
    permanent: &[
        99991201, 99991301, 30005, // a call that does not exist
        99992402, 9499, 4000, 10001, 10003, // a parameter
        99992351, 99992354, 99992357, 99992358, 99992359, 99992360, 99992363, 99992364, 99992380,
        99992381, // an id
    ],
    unknown: &[],
};

/// Source: "Get tenant_access_token (custom app)".
const TOKEN: Table = Table { fix_setup: &[10003], ..Table::EMPTY };

/// Sources: the pages of create, reply, PATCH and get of `im/v1/messages`.
const MESSAGES: Table = Table {
    retry: &[
        230020, // 5 a second to one person, chat or message
        230049, 18121, // the same uuid is on its way
    ],
    fix_setup: &[230002, 230006, 230013, 230018, 230027, 230035, 230036],
    permanent: &[
        230001, 230011, 230015, 230017, 230019, 230022, 230025, 230028, 230029, 230031, 230034, 230038, 230050, 230053,
        230054, 230055, 230071, 230072, 230075, 230099, 230110, 230111, 232009,
    ],
    ..Table::EMPTY
};

/// Source: the page of `batch_send` in both its versions. Every code there means that nothing was sent, except
/// `10002`, and except the internal errors of the shared table, which promise nothing about what happened before.
const BATCH_SEND: Table = Table {
    retry: &[11232, 11233],
    fix_setup: &[11203, 11204, 11205, 11207, 11209, 11210, 11223, 11225, 11247],
    permanent: &[10003, 11101, 11227, 11231, 11235, 11246, 11248, 11312, 19036, 230100],
    unknown: &[10002, 2200, 1500, 1663, 1668, 5000, 10101],
    ..Table::EMPTY
};

/// Source: the page "Query the authorization status of a tenant".
const APPLICATION: Table = Table { fix_setup: &[212100], ..Table::EMPTY };

/// Sources: the pages of `get_progress` and `read_user`. `230030` (id not found) also comes in the first minute after
/// a batch was accepted, so it is worth asking again; whoever polls has an end of its own.
const BATCH_FOLLOW: Table =
    Table { retry: &[230030], fix_setup: &[230006, 230012, 230027], permanent: &[230001], ..Table::EMPTY };

/// Source: the page of batch messages' delete. An id that is not found may only be too fresh; whoever asks knows its age.
const RECALL: Table =
    Table { fix_setup: &[230006, 230012, 230027], permanent: &[230001, 230009, 230026, 230030], ..Table::EMPTY };

/// Sources: the pages of message resources, and of create and get of `im/v1/images` and `im/v1/files`; scopes that lack
/// are 230027 there as everywhere in `im/v1`.
const MEDIA: Table = Table {
    retry: &[
        234019, // the app's rights could not be looked up
        232096, // writing is halted for a while
    ],
    reauthenticate: &[234002],
    fix_setup: &[230006, 230027, 234004, 234007, 234040, 234041, 234042],
    permanent: &[
        230110, 234001, 234003, 234005, 234006, 234008, 234009, 234010, 234011, 234037, 234038, 234039, 234043,
    ],
    ..Table::EMPTY
};

/// Sources: the pages of the contact v3 department, user and group calls. `40003` is an internal error here and here alone.
const CONTACTS: Table = Table {
    retry: &[48002, 40003],
    fix_setup: &[40004, 40014, 41050, 42008, 42009],
    permanent: &[
        48001, 40001, 40002, 40008, 40011, 40012, 40015, 41012, 41071, 41072, 41074, 42002, 43007, 43010, 44102,
    ],
    ..Table::EMPTY
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_in_one_list_of_its_table() {
        for table in Call::ALL.map(Call::table).into_iter().chain([GENERIC]) {
            let lists = [table.retry, table.reauthenticate, table.fix_setup, table.permanent, table.unknown];
            let mut codes = lists.concat();
            let all = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), all, "{table:?}");
        }
    }

    #[test]
    fn one_number_may_mean_two_things() {
        assert_eq!(class_of(Call::TenantToken, 10003), Class::FixSetup);
        assert_eq!(class_of(Call::SendMessage, 10003), Class::Permanent);
        assert_eq!(class_of(Call::Departments, 40003), Class::Retry { after: None });
        assert_eq!(class_of(Call::SendMessage, 40003), Class::Unknown);
        assert_eq!(class_of(Call::SendMessage, 2200), Class::Retry { after: None });
        assert_eq!(class_of(Call::BatchSend, 2200), Class::Unknown);
    }

    #[test]
    fn what_says_that_something_is_absent_is_no_passing_trouble() {
        for call in Call::ALL {
            for table in [call.table(), GENERIC] {
                for code in table.retry.iter().chain(table.reauthenticate).chain(table.unknown) {
                    assert!(!call.says_absent(*code), "{call:?} {code}");
                }
            }
        }
        assert!(Call::Image.says_absent(234008) && !Call::MessageResource.says_absent(234008));
        assert!(Call::Person.says_absent(41050) && !Call::DepartmentMembers.says_absent(41050));
    }

    #[test]
    fn labels_differ() {
        let mut labels = Call::ALL.map(Call::label);
        labels.sort_unstable();
        assert!(labels.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
