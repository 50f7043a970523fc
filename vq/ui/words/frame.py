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
    "close": ("Close", "关闭"),
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
    "choice": ("{} is not one of {}.", "{} 不在以下选项之中：{}。"),
    "argument": ("{}", "参数不合要求（{}）。"),
    "fault": (
        "Something failed on the server, and its owner can see what: please try again.",
        "服务器出错，管理者可以看到原因：请重试。",
    ),
    "no_room": (
        "The server's disk is full: please try again later.",
        "服务器磁盘已满：请稍后再试。",
    ),
    "picture_gone": (
        "This picture is no longer on the server: please choose it again.",
        "这张图片已不在服务器上：请重新选择。",
    ),
    "address_unusable": (
        "This address gives no picture of at most 100 MB: please send the file itself.",
        "此地址没有给出不超过 100 MB 的图片：请直接发送文件。",
    ),
    "upload_large": (
        "This is more than the 100 MB that the page takes: please send less.",
        "内容超过本页 100 MB 的上限：请减小后再发送。",
    ),
    "body_large": (
        "This request is larger than the {} MB that the page takes: please send less.",
        "请求超过本页 {} MB 的上限：请减小后再发送。",
    ),
    "not_here": ("This page has nothing at this address.", "本页没有这个地址。"),
    # the queue
    "queue_title": ("Busy", "繁忙"),
    "queue_full": ("The queue is full, try again in {} s.", "队列已满，请在 {} 秒后重试。"),
    "queue_yours": (
        "Too many of your own requests are waiting, try again in {} s.",
        "你有太多请求在排队，请在 {} 秒后重试。",
    ),
    "queue_memory": (
        "The server's memory is full, try again in {} s.",
        "服务器内存已满，请在 {} 秒后重试。",
    ),
}
