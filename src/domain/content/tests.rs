//! What becomes of a message on its way to be broadcast.

use super::*;

fn person(key: &str, name: &str) -> Mention {
    let open_id = OpenId::new(key.replace("@_user_", "ou_"));
    Mention { key: key.to_owned(), name: name.to_owned(), open_id, union_id: None, user_id: None }
}

fn people() -> Vec<Mention> {
    vec![person("@_user_1", "播报"), person("@_user_2", "张三"), person("@_user_10", "Ten")]
}

fn bot() -> OpenId {
    OpenId::new("ou_1").expect("a plain id")
}

fn check(said: &str, expect: &str) {
    let content = Content::from_body(&Body::Text(said.to_owned()), &people(), Some(&bot()));
    assert_eq!(content, Content::Text(expect.to_owned()), "{said}");
}

fn check_post(paragraphs: Vec<Vec<Node>>, expect: Vec<Vec<Node>>) {
    let post = Post { title: "题\u{7}\n目".to_owned(), paragraphs };
    let content = Content::from_body(&Body::Post(post), &people(), Some(&bot()));
    assert_eq!(content, Content::post(Post { title: "题 目".to_owned(), paragraphs: expect }));
}

fn text(text: &str) -> Node {
    Node::Text { text: text.to_owned() }
}

fn at(key: &str) -> Node {
    Node::At { key: key.to_owned(), name: "某人".to_owned() }
}

#[test]
fn a_plain_text_stays_as_it_is() {
    check("  明天\n\n  下午三点\t见 ", "  明天\n\n  下午三点\t见 ");
}

#[test]
fn a_mention_becomes_a_name() {
    check("请找 @_user_2 领取", "请找 @张三 领取");
}

#[test]
fn the_longest_key_comes_first() {
    check("@_user_10 与 @_user_2", "@Ten 与 @张三");
}

#[test]
fn a_key_that_is_not_listed_is_just_text() {
    check("@_user_3 与 @_user_30", "@_user_3 与 @_user_30");
}

#[test]
fn everyone_is_named_and_not_pinged() {
    check("@_all 请注意", "@所有人 请注意");
}

#[test]
fn the_bot_is_dropped_at_the_start_only() {
    check(" @_user_1  你好，@_user_1 会回答", "你好，@播报 会回答");
}

#[test]
fn an_at_tag_is_neutralised() {
    check("<at user_id=\"all\">x</at> <AT> <attic>", "<\u{200B}at user_id=\"all\">x</at> <\u{200B}AT> <attic>");
}

#[test]
fn a_hidden_character_does_not_save_an_at_tag() {
    check("<\u{0}at id=all>", "<\u{200B}at id=all>");
}

#[test]
fn a_name_cannot_smuggle_an_at_tag() {
    let evil = vec![person("@_user_5", "<at user_id=\"all\">")];
    let content = Content::from_body(&Body::Text("hi @_user_5".to_owned()), &evil, None);
    assert_eq!(content.plain(), "hi @<\u{200B}at user_id=\"all\">");
}

#[test]
fn control_characters_go_and_line_ends_are_plain() {
    check("a\u{1b}[31mb\r\nc\rd\te", "a[31mb\nc\nd\te");
}

#[test]
fn a_link_becomes_label_and_address() {
    check("见[公告](https://a.cn/x_(1)?y=2)。", "见公告 (https://a.cn/x_(1)?y=2)。");
}

#[test]
fn a_bare_link_is_not_said_twice() {
    check("[https://a.cn](https://a.cn)", "https://a.cn");
}

#[test]
fn mail_is_written_out() {
    check("[x@a.cn](mailto:x@a.cn) [李四](mailto:l@a.cn)", "x@a.cn 李四 (l@a.cn)");
}

#[test]
fn brackets_that_are_no_link_stay() {
    check("[1](附件) [a](b c) [x] [[](https://", "[1](附件) [a](b c) [x] [[](https://");
}

#[test]
fn a_link_inside_brackets_is_found() {
    check("[[通知] 新](https://a.cn)", "[通知] 新 (https://a.cn)");
}

#[test]
fn a_post_keeps_its_shape() {
    let link = Node::Link { text: "官网".to_owned(), href: "https://a.cn".to_owned() };
    let image = Node::Image { image_key: "img_1".to_owned() };
    check_post(
        vec![vec![text("你好 "), at("@_user_2"), link.clone()], vec![image.clone()], vec![at("@_all")]],
        vec![vec![text("你好 "), text("@张三"), link], vec![image], vec![text("@所有人")]],
    );
}

#[test]
fn what_batch_send_may_not_know_becomes_text() {
    let mail = Node::Link { text: "信".to_owned(), href: "mailto:x@a.cn".to_owned() };
    let script = Node::Link { text: "点".to_owned(), href: "javascript:x".to_owned() };
    let code = Node::Code { language: "sh".to_owned(), text: "ls\n<at >".to_owned() };
    let smile = Node::Emotion { emoji_type: "SMILE".to_owned() };
    check_post(
        vec![vec![smile, Node::Rule, code], vec![mail, script]],
        vec![
            vec![text("[SMILE]"), text(RULE), text("ls\n<\u{200B}at >")],
            vec![text("信 (x@a.cn)"), text("点 (javascript:x)")],
        ],
    );
}

#[test]
fn the_bot_at_the_start_of_a_post_goes() {
    check_post(vec![vec![text(" "), at("@_user_1"), text(" 你好")]], vec![vec![text("你好")]]);
}

#[test]
fn blank_is_what_shows_nothing() {
    assert!(Content::Text(" \u{3000}\u{200B}\n".to_owned()).is_blank());
    assert!(Content::post(Post { title: String::new(), paragraphs: vec![vec![text(" ")], vec![]] }).is_blank());
    let image = Node::Image { image_key: "img_1".to_owned() };
    assert!(!Content::post(Post { title: String::new(), paragraphs: vec![vec![image]] }).is_blank());
}

#[test]
fn a_post_is_plain_text_in_previews() {
    let image = Node::Image { image_key: "img_1".to_owned() };
    let post = Post { title: "标题".to_owned(), paragraphs: vec![vec![text("a"), text("b")], vec![image]] };
    assert_eq!(Content::post(post).plain(), "标题\nab\n[图片]");
}

#[test]
fn soft_line_ends_keep_words_apart() {
    check("一\u{B}二\u{C}三\u{85}四\r五", "一\n二\n三\n四\n五");
}

#[test]
fn what_is_refused_by_its_name_neither_hides_nor_pings() {
    let named = |tag: &str| vec![vec![Node::Unknown { tag: tag.to_owned() }]];
    check_post(named("md\0<at id=all>"), named("md<\u{200B}at id=all>"));
}

#[test]
fn stored_content_is_read_back() {
    let nodes = vec![text("a"), at("@_user_1"), Node::Rule, Node::Unknown { tag: "md".to_owned() }];
    let body = Body::Post(Post { title: "t".to_owned(), paragraphs: vec![nodes] });
    let json = serde_json::to_string(&body).expect("plain data");
    assert_eq!(serde_json::from_str::<Body>(&json).expect(&json), body);
}
