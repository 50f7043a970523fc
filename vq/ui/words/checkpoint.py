"""Words of "Your checkpoint"."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    "checkpoint": ("Your checkpoint", "你的检查点"),
    "checkpoint_note": (
        "Any public autoencoder on the Hub (VQModel, AutoencoderKL, AutoencoderTiny, or one trained here) joins the "
        "codecs, for you alone. Safetensors only.",
        "Hub 上任何公开的自编码器（VQModel、AutoencoderKL、AutoencoderTiny，或用本项目训练的）都可加入编码器之列，"
        "只对你可见。仅限 safetensors。",
    ),
    "checkpoint_public": ("Well known", "常见的"),
    "checkpoint_repo": ("Repository", "仓库"),
    "checkpoint_repo_hint": ("org/name", "org/name"),
    "checkpoint_subfolder": ("Subfolder", "子文件夹"),
    "checkpoint_revision": ("Revision", "版本"),
    "checkpoint_load": ("Load", "加载"),
    "checkpoint_stop": ("Stop", "停止"),
    "checkpoint_asking": ("Asking the Hub…", "正在询问 Hub…"),
    "checkpoint_bytes": ("{} of {}", "{} / {}"),
    "checkpoint_opening": ("Opening it…", "正在打开…"),
    "checkpoint_class": ("Class", "类型"),
    "checkpoint_parameters": ("Parameters", "参数"),
    "checkpoint_latent": ("Latent", "潜变量"),
    "checkpoint_grid": ("{} numbers a cell, {} px a cell", "每格 {} 个数，每格 {} 像素"),
    "checkpoint_vector": ("{} numbers, at {} px", "{} 个数，{} 像素"),
    "checkpoint_codebook": ("Codebook", "码本"),
    "checkpoint_codes": ("{} codes", "{} 个码字"),
    "checkpoint_none": ("none", "无"),
    "checkpoint_licence": ("Licence", "许可证"),
    "checkpoint_unknown": ("not stated", "未说明"),
    "checkpoint_commit": ("Commit", "提交"),
    "what_public": (
        "From the Hub, not trained here. Its figures are computed on your picture like all others.",
        "来自 Hub，并非本项目训练。各项数字与其他编码器一样在你的图片上算得。",
    ),
}
