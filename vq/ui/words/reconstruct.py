"""Words of the Reconstruct tab."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    # input
    "picture": ("Your picture", "你的图片"),
    "examples": ("Or try one of these", "或试试这些"),
    "example_chelsea": ("Chelsea the cat", "小猫切尔西"),
    "example_astronaut": ("Astronaut Eileen Collins", "宇航员艾琳·柯林斯"),
    "example_coffee": ("A cup of coffee", "一杯咖啡"),
    "example_rocket": ("A rocket launch", "火箭发射"),
    "credits": (
        "Chelsea: Stefan van der Walt, CC0 · Astronaut: NASA, public domain · "
        "Coffee: Rachel Michetti, CC0 · Rocket: SpaceX, public domain",
        "小猫：Stefan van der Walt，CC0 · 宇航员：NASA，公有领域 · 咖啡：Rachel Michetti，CC0 · 火箭：SpaceX，公有领域",
    ),
    "fit": ("Not square?", "不是正方形？"),
    "fit_crop": ("Crop", "裁切"),
    "fit_pad": ("Pad", "补边"),
    "size": ("Working size", "处理尺寸"),
    "size_note": (
        "For grid codecs (VQ-VAE, VQ-GAN). AE and VAE always work at a size of their own.",
        "适用于网格编码器（VQ-VAE、VQ-GAN）。AE 和 VAE 始终使用各自的固定尺寸。",
    ),
    "codecs": ("[codec:Codecs]", "[codec:编码器]"),
    # results
    "lens": ("View", "视图"),
    "lens_picture": ("Picture", "图片"),
    "lens_compare": ("Before / after", "前后对比"),
    "lens_difference": ("Difference", "差异"),
    "lens_code": ("Code", "编码"),
    "gain": ("Gain", "增益"),
    "gain_note": ("Grey: nothing changed", "灰色：没有变化"),
    "divide": ("Left: original. Right: reconstruction", "左：原图。右：重建"),
    "code_note": ("What is stored: a token map, or a row of numbers", "存下来的东西：标记图，或一排数字"),
    "original": ("Original", "原图"),
    "what_original": (
        "What the codecs get to see: {} by {} pixels, three bytes each.",
        "编码器看到的图：{} × {} 像素，每像素 3 字节。",
    ),
    "what_ae": (
        "The whole picture in {} numbers. Look at the outline and the light: they stay; texture does not.",
        "整张图压成 {} 个数字。看轮廓和光影：留住了；纹理没有。",
    ),
    "what_vae": (
        "The same network, but its numbers must follow a bell curve, so that new pictures can be drawn from it. "
        "Compare it with the AE: that is the price.",
        "同样的网络，但数字须服从钟形分布，这样才能从中生成新图。与 AE 相比，差别就是代价。",
    ),
    "what_vqvae": (
        "A grid of entries from a learned codebook of {}. Look at the edges: crisp; fine texture is smoothed over.",
        "用学到的 {} 个码字拼成网格。看边缘：清晰；最细的纹理被抹平。",
    ),
    "what_vqgan": (
        "A coarser grid and a decoder trained against a critic. Looks sharp, "
        "but compare eyes and fur: part of it is invented.",
        "网格更粗，解码器与判别器对抗训练。看起来锐利，但比比眼睛和毛发：有一部分是编出来的。",
    ),
    "what_jpeg": (
        "Made by hand in 1992: 8 by 8 blocks of waves. Its nearest to {}.",
        "1992 年人工设计：8 × 8 的波形块。最接近 {} 的结果。",
    ),
    "what_webp": (
        "Made by hand in 2010: predicts blocks from their neighbours. Its nearest to {}.",
        "2010 年人工设计：用相邻块预测。最接近 {} 的结果。",
    ),
    "same_bytes": ("As many bytes as", "与谁字节数相同"),
    "counting": (
        "JPEG and WebP are counted without headers and tables; a float in a latent counts 16 bits, a token log₂ K.",
        "JPEG 与 WebP 不计文件头和码表；潜变量每个浮点数计 16 位，每个标记计 log₂ K 位。",
    ),
    "quality": ("quality {}", "质量 {}"),
    "options": ("Options", "选项"),
    "handmade": ("Made by hand, for comparison", "人工设计的，作对照"),
    "bytes": ("bytes", "字节"),
    "figure_dB": ("[psnr:dB]", "[psnr:dB]"),
    "figure_bits_per_pixel": ("{} [bits_per_pixel:bits/pixel]", "{} [bits_per_pixel:位/像素]"),
    "figure_ssim": ("[ssim:SSIM] {}", "[ssim:SSIM] {}"),
    "bits_per_pixel": ("bits/pixel", "位/像素"),
    "dB": ("dB", "dB"),
    "psnr_help": (
        "PSNR: likeness to the original in decibels; higher is closer",
        "PSNR：与原图的接近程度（分贝），越高越近",
    ),
    "ssim_help": ("SSIM: likeness of structure, at most 1", "SSIM：结构相似度，最高为 1"),
    "tokens_shape": ("{} × {} [token:tokens]", "{} × {} 个[token:标记]"),
    "numbers_shape": ("{} [latent:numbers]", "{} 个[latent:数字]"),
    "usage": (
        "{} of {} [codebook:codes] used here, as if {} were [perplexity:used equally]",
        "此图用到 {}/{} 个[codebook:码字]，相当于[perplexity:均匀使用] {} 个",
    ),
    "latent_plot": ("The {} numbers, in standard deviations", "{} 个数字，以标准差计"),
    "latent_plot_raw": ("The {} numbers", "{} 个数字"),
    "token_map": (
        "Token map: one colour a code, like colours for codes close to each other",
        "标记图：一种颜色代表一个码字，颜色相近则码字相近",
    ),
    "cell": ("row {}, column {}: code {}", "第 {} 行第 {} 列：码字 {}"),
    "no_code": ("Nothing learned in here to show", "这里没有学到的编码可看"),
    "rate_title": ("Likeness for the bits", "每一位换来的相似度"),
    "rate_note": (
        "Up: closer to the original (dB). Right: more bits per pixel. Hollow: at its own {} px.",
        "向上：更接近原图（dB）。向右：每像素位数更多。空心：按自身 {} 像素。",
    ),
    "rate_note_plain": (
        "Up: closer to the original (dB). Right: more bits per pixel.",
        "向上：更接近原图（dB）。向右：每像素位数更多。",
    ),
    "download": ("Save PNG", "保存 PNG"),
    "to_edit": ("Edit these tokens", "编辑这些标记"),
    "to_interpolate": ("Interpolate from here", "从这里插值"),
    "alt_reconstruction": ("{}'s reconstruction", "{} 的重建图"),
    "alt_original": ("Original at {} pixels", "{} 像素的原图"),
    "alt_difference": ("Difference between the original and {}", "原图与 {} 的差异"),
    "alt_map": ("Token map of {}", "{} 的标记图"),
    "working": ("Working…", "处理中…"),
    "error": ("Error", "出错"),
    "queued": (
        "Waiting: number {} of {} in line.",
        "排队中：第 {} 位，共 {} 位。",
    ),
    "waking": (
        "The models are still being loaded; only the first picture after a start waits for it.",
        "模型仍在加载；只有启动后的第一张图需要等待。",
    ),
    "empty": (
        "Add a picture: drop a file, paste one, take a photo, or pick an example.",
        "放一张图片：拖入文件、粘贴、拍照，或选一个例子。",
    ),
    "empty_broken": ("Nothing to show for that file: please try another.", "该文件无法显示：请换一个。"),
    "empty_codecs": ("Tick at least one codec.", "请至少勾选一个编码器。"),
    # latent knobs
    "knobs": ("Turn the knobs", "拧一拧旋钮"),
    "knobs_note": (
        "Each slider is one of the directions in which the training pictures differ most. "
        "It starts where your picture lies; move one and watch.",
        "每个滑块是训练图片差异最大的方向之一，起点就是你的图片所在处。动一个，看看变化。",
    ),
    "knob": ("{}, direction {}", "{}，方向 {}"),
    "reset": ("Back to the picture", "回到原处"),
    "knobs_none": (
        "Sliders need the statistics of the training latents; these weights come without them.",
        "滑块需要训练潜变量的统计量；这份权重没有附带。",
    ),
}
