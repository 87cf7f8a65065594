//! The companies that stories and the playground open: a small one, and one of thirty departments and 300 people.

use super::people::Company;

/// Departments of the playground. `销售部` is there exactly once; the namesakes are `客服部` and `交付部`.
const DEPARTMENTS: [(&str, usize); 30] = [
    ("总经办", 5),
    ("销售部", 10),
    ("销售部/大客户组", 9),
    ("销售部/渠道组", 8),
    ("市场部", 14),
    ("产品部", 16),
    ("研发中心", 6),
    ("研发中心/后端组", 26),
    ("研发中心/前端组", 18),
    ("研发中心/测试组", 14),
    ("研发中心/平台组", 12),
    ("人力资源部", 4),
    ("人力资源部/招聘组", 7),
    ("人力资源部/培训组", 5),
    ("财务部", 11),
    ("法务部", 6),
    ("行政部", 9),
    ("信息安全部", 7),
    ("华东", 3),
    ("华东/客服部", 15),
    ("华东/交付部", 14),
    ("华南", 3),
    ("华南/客服部", 14),
    ("华南/交付部", 12),
    ("华北", 3),
    ("华北/交付部", 11),
    ("海外事业部", 4),
    ("海外事业部/日本办事处", 8),
    ("海外事业部/新加坡办事处", 8),
    ("战略项目室", 5),
];

const SURNAMES: [&str; 24] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "吴", "徐", "孙", "马", "朱", "胡", "郭", "高", "罗", "郑", "梁", "谢",
    "宋", "唐", "许", "韩", "冯",
];
const GIVEN: [&str; 26] = [
    "子涵", "雨桐", "浩然", "思远", "晓彤", "俊杰", "佳怡", "志强", "丽娜", "文博", "欣妍", "建国", "美玲", "宇航",
    "诗琪", "伟", "敏", "静怡", "海燕", "天佑", "婉清", "凯", "梦洁", "家豪", "若兰", "明哲",
];

/// People with a part to play, before the rest of the house is filled.
const CAST: [(&str, &[&str]); 12] = [
    ("王芳", &["市场部"]),
    ("林悦", &["人力资源部"]),
    ("周明", &["总经办"]),
    ("赵磊", &["财务部"]),
    ("何静", &["法务部"]),
    ("陈晨", &["销售部/渠道组"]),
    ("孙宁", &["市场部", "产品部"]),
    ("钱多多", &["销售部", "销售部/大客户组"]),
    ("许国强", &[]),
    ("沈秘书", &[]),
    ("白露", &["销售部/大客户组"]),
    ("石磊", &["华东/客服部", "华东/交付部"]),
];

/// How many people work in the playground's company.
const HEADCOUNT: usize = 300;

impl Company {
    /// Enough for most stories: four departments with namesakes, two admins, two approvers, a stranger.
    ///
    /// 王芳 and 林悦 are admins, 周明 is admin and approver, 赵磊 approves only, 陈晨 is nobody special.
    pub fn small() -> Company {
        Company::empty("小公司")
            .person("王芳", &["市场部"])
            .person("林悦", &["市场部"])
            .person("周明", &["总经办"])
            .person("赵磊", &["总经办"])
            .person("陈晨", &["销售部"])
            .person("刘洋", &["销售部"])
            .person("马超", &["销售部/大客户组"])
            .person("钱多多", &["销售部", "销售部/大客户组"])
            .person("罗敏", &["华东/客服部"])
            .person("谢婷", &["华南/客服部"])
            .person("许国强", &[])
            .admin("王芳")
            .admin("林悦")
            .admin("周明")
            .approver("周明")
            .approver("赵磊")
            .group("项目群", &["王芳", "周明", "陈晨"])
    }

    /// The company of the playground: thirty departments, three hundred people, always the same ones.
    ///
    /// Admins: 王芳, 林悦 (who cannot see 战略项目室) and 周明. Approvers: 周明, 赵磊 and 何静, the last two nothing else.
    /// 陈晨 is a plain employee. 许国强 and 沈秘书 hang directly under the root. Every fortieth person is outside the
    /// app's availability. The admins are in three groups, of which one is without the bot.
    pub fn playground() -> Company {
        let mut company = Company::empty("蓝鲸科技");
        for (path, _) in DEPARTMENTS {
            company = company.department(path);
        }
        for (name, departments) in CAST {
            company = company.person(name, departments);
        }
        let seats: Vec<&str> = DEPARTMENTS.iter().flat_map(|(path, seats)| vec![*path; *seats]).collect();
        let all = GIVEN.len() * SURNAMES.len();
        for number in 0..HEADCOUNT - CAST.len() {
            // 37 has no divisor in common with `all`: every name comes once, and neighbours do not sound alike.
            let pick = number * 37 % all;
            let name = format!("{}{}", SURNAMES[pick % SURNAMES.len()], GIVEN[pick / SURNAMES.len()]);
            company = company.person(&name, &[seats[number % seats.len()]]);
            if number % 40 == 13 {
                company = company.unavailable(&name);
            }
        }
        company
            .admin("王芳")
            .admin("林悦")
            .admin("周明")
            .approver("周明")
            .approver("赵磊")
            .approver("何静")
            .hide("战略项目室", "林悦")
            .group("经营周会", &["王芳", "周明", "赵磊", "陈晨"])
            .group("新品发布筹备群", &["王芳", "林悦", "周明", "何静", "陈晨", "孙宁", "白露"])
            .group_without_bot("午餐搭子", &["王芳", "林悦", "周明", "钱多多"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_playground_is_as_large_as_promised_and_sales_is_one_department() {
        let company = Company::playground();
        assert_eq!((company.departments.len(), company.people.len()), (30, 300));
        assert_eq!(company.departments.iter().filter(|d| d.name.contains("销售部")).count(), 1);
        assert_eq!(company.departments.iter().filter(|d| d.name == "客服部").count(), 2);
        assert!(company.people.iter().any(|p| !p.available));
        assert!(!company.members(&company.at("战略项目室").expect("is there").open_department_id).is_empty());
    }
}
