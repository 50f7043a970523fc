"""Words of the frame around the tabs, and messages that every tab may give."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    # frame
    "tagline": (
        "Four ways to turn a picture into a handful of numbers. See what each one keeps.",
        "四种把图片变成少量数字的方法。看看各自留下了什么。",
    ),
    "tab_reconstruct": ("Reconstruct", "重建"),
    "tab_interpolate": ("Interpolate", "插值"),
    "tab_edit": ("Edit tokens", "编辑标记"),
    "tab_sample": ("Sample", "生成"),
    # messages
    "unreadable": (
        "This file is not a picture, or a broken one: please try another.",
        "这个文件不是图片或已损坏，请换一个。",
    ),
    "too_large": (
        "This picture has more than 100 million pixels: please try a smaller one.",
        "这张图片超过一亿像素，请换一张小一些的。",
    ),
    "bad_request": ("The page sent something unexpected: please reload it.", "页面发来了意外的内容，请刷新。"),
}
