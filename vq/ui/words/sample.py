"""Words of the Sample tab."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    # models
    "sample_model": ("Model", "模型"),
    "sample_title_transformer": ("VQ-GAN + transformer", "VQ-GAN + Transformer"),
    "sample_title_pixelcnn": ("VQ-VAE + PixelCNN", "VQ-VAE + PixelCNN"),
    "sample_title_vae-normal": ("VAE + N(0, I)", "VAE + N(0, I)"),
    "sample_title_vae-fitted": ("VAE + fitted Gaussian", "VAE + 拟合高斯"),
    "sample_title_ae-normal": ("AE + N(0, I)", "AE + N(0, I)"),
    "sample_title_ae-fitted": ("AE + fitted Gaussian", "AE + 拟合高斯"),
    "sample_what_transformer": (
        "64 [token:tokens], each drawn in sight of all before it. "
        "Look at the eyes: the second one knows where the first is.",
        "64 个[token:标记]，每个都在看过前面所有标记后抽取。看眼睛：画第二只时知道第一只在哪里。",
    ),
    "sample_what_pixelcnn": (
        "256 [token:tokens], each drawn from those above it and to its left. Look at edges and fur up close, "
        "then ask whether the whole still makes an animal.",
        "256 个[token:标记]，每个根据上方和左侧的标记抽取。先近看边缘和毛发，再看整体是否还是一只动物。",
    ),
    "sample_what_vae-normal": (
        "A vector of plain noise, decoded. Look how soft it is, yet near to a picture: "
        "the [kl:KL term] taught the VAE that such noise means pictures.",
        "把一个纯噪声向量解码。看它多么柔和，却已接近图片：[kl:KL 项]让 VAE 把这种噪声当作图片。",
    ),
    "sample_what_vae-fitted": (
        "Noise with the mean and spread of the training pictures' [latent:latents]. Compare it with N(0, I): "
        "the less it changes, the better the KL term did its work.",
        "噪声的均值和散布取自训练图片的[latent:潜变量]。与 N(0, I) 对比：差别越小，说明 KL 项越起作用。",
    ),
    "sample_what_ae-normal": (
        "Why an AE is no generator: nothing asks its latents to be a bell curve. These have its spread, "
        "but not its shape; look at how many faces come apart.",
        "AE 为何不是生成器：没有什么要求它的潜变量服从钟形分布。这里散布相符，形状却不符；看有多少张脸散了架。",
    ),
    "sample_what_ae-fitted": (
        "Noise with the mean and spread of the training latents. It mends what the wrong mean or spread broke, "
        "and no more: look at the faces that still come apart.",
        "噪声的均值和散布取自训练潜变量。它只能修补均值或散布不对造成的问题：看仍然散架的脸。",
    ),
    # options
    "sample_n": ("Pictures", "图片数"),
    "sample_seed": ("[seed:Seed]", "[seed:随机种子]"),
    "sample_seed_note": (
        "The same seed gives the same pictures; −1 draws one.",
        "种子相同，图片相同；−1 表示随机抽取。",
    ),
    "sample_temperature": ("[temperature:Temperature]", "[temperature:温度]"),
    "sample_temperature_note": (
        "Below 1: safer and more alike. Above 1: bolder. 0 always takes the likeliest.",
        "低于 1：更稳妥、更相似；高于 1：更大胆；0 总取最可能的。",
    ),
    "sample_temperature_gaussian": (
        "Scales the noise: 0 gives the mean picture, above 1 goes further out.",
        "缩放噪声：0 得到平均图片，高于 1 走得更远。",
    ),
    "sample_top_k": ("[top_k:top-k]", "[top_k:top-k]"),
    "sample_top_k_note": (
        "Only the k likeliest codes may be drawn; 0 allows all.",
        "只从最可能的 k 个码字中抽取；0 表示不限。",
    ),
    "sample_top_p": ("[top_p:top-p]", "[top_p:top-p]"),
    "sample_top_p_note": (
        "Only the likeliest codes that together hold this share of the probability; 1 allows all.",
        "只从合计占此概率份额的最可能码字中抽取；1 表示不限。",
    ),
    "sample_no_tokens": ("This model has no tokens to choose among.", "此模型没有可挑选的标记。"),
    "sample_draw": ("Draw pictures", "生成图片"),
    "sample_stop": ("Stop", "停止"),
    "sample_replay": ("Replay a settings line", "重放设置行"),
    "sample_replay_hint": ("vq-sample model=…", "vq-sample model=…"),
    "sample_replay_go": ("Replay", "重放"),
    # results
    "sample_idle": (
        "Choose a model and draw: the pictures fill in before your eyes.",
        "选一个模型并生成：图片会在你眼前逐步填满。",
    ),
    "sample_waiting": ("Waiting for the model…", "正在等待模型…"),
    "sample_progress": ("{} of {} tokens", "{} / {} 个标记"),
    "sample_rate": ("{} tokens/s", "每秒 {} 个标记"),
    "sample_finishing": ("Finishing…", "即将完成…"),
    "sample_stopped": ("Stopped after {} of {} tokens", "已停止，完成 {} / {} 个标记"),
    "sample_done": ("Click a picture to look closer", "点击图片看细节"),
    "sample_seed_used": ("Seed {}", "种子 {}"),
    "sample_keep_seed": ("Keep this seed", "沿用此种子"),
    "sample_line": ("Settings line", "设置行"),
    "sample_line_note": (
        "Everything these pictures depend on. Paste it into the field for replay and they come again, to the byte.",
        "这些图片所依赖的一切。粘贴到重放框，便能逐字节重现。",
    ),
    "sample_copy": ("Copy", "复制"),
    "sample_copied": ("Copied", "已复制"),
    "sample_other_weights": (
        "The line was made with other weights ({}, here {}): these pictures differ from those it stood under.",
        "该设置行来自另一份权重（{}，此处为 {}）：图片与当时不同。",
    ),
    # one picture
    "sample_alt": ("Picture {}", "图片 {}"),
    "sample_open": ("Look closer at picture {}", "细看图片 {}"),
    "sample_tokens": ("Tokens", "标记"),
    "sample_surprise": ("[surprisal:Surprise]", "[surprisal:意外程度]"),
    "sample_surprise_help": (
        "−log p of each token given those before it: where did the [prior:prior] not see it coming?",
        "每个标记在前文条件下的 −log p：[prior:先验]在哪里没有料到？",
    ),
    "sample_foreseen": ("0: foreseen", "0：料到"),
    "sample_guess": ("{} nats: a blind guess", "{} 纳特：盲猜"),
    "sample_cell": ("row {}, column {}: code {}, {} nats", "第 {} 行第 {} 列：码字 {}，{} 纳特"),
    "sample_hover": ("Point at a cell for its code and its surprise.", "指向单元格查看码字和意外程度。"),
    "sample_vector": (
        "Drawn in one go as {} numbers: there are no tokens to map.",
        "一次抽出 {} 个数字：没有标记可画。",
    ),
}
