"""Words of the guided path, the header's buttons, and the terms explained where they are first used."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    # header
    "copy_link": ("Copy link", "复制链接"),
    "copy_link_help": (
        "An address that opens this tab as it is set now; your own pictures are not in it",
        "打开后即是此标签页当前设置的地址；不含你自己的图片",
    ),
    "copied": ("Copied", "已复制"),
    "copy_failed": ("Copy it from here:", "请从这里复制："),
    "guide_open": ("Guide", "导览"),
    # guided path
    "guide": ("First visit", "初次来访"),
    "guide_step": ("{}. {}", "{}. {}"),
    "guide_step_done": ("{}. {}: done", "{}. {}：已试过"),
    "guide_next": ("Next: {}", "下一步：{}"),
    "guide_close": ("Close the guide", "关闭导览"),
    "guide_reconstruct": (
        "What survives? Choose “{}” above the cards: grey is kept, colour is lost.",
        "什么留了下来？在卡片上方选“{}”：灰色是保留的，有颜色的是丢掉的。",
    ),
    "guide_interpolate": (
        "What lies between two pictures? Press “{}”: some paths turn one into the other, some only fade.",
        "两张图之间有什么？按“{}”：有的路径让一张变成另一张，有的只是淡入淡出。",
    ),
    "guide_edit": (
        "What does one token do? Drag over an eye, then click a code under “{}”.",
        "一个标记管什么？拖选一只眼睛，再点击“{}”里的一个码字。",
    ),
    "guide_sample": (
        "What can it make up? Press “{}”, watch the tokens come in order, then click a picture.",
        "它能凭空画出什么？按“{}”，看标记依次出现，再点开一张。",
    ),
    "guide_all": (
        "You have tried all four tabs. Now with a picture of your own.",
        "四个标签页都试过了。现在换成你自己的图片吧。",
    ),
    # headings that only screen readers meet
    "heading_results": ("Results", "结果"),
    # terms
    "terms": ("What is this?", "这是什么？"),
    "term_codec": (
        "Codec: an encoder that turns a picture into a few numbers, and a decoder that turns them back into a picture.",
        "编码器（codec）：编码端把图片变成少量数字，解码端再把它们变回图片。",
    ),
    "term_latent": (
        "Latent: the numbers a picture is turned into. Everything the decoder draws, it draws from them.",
        "潜变量：图片被变成的那些数字。解码器画出的一切都来自它们。",
    ),
    "term_token": (
        "Token: one cell of the grid a picture is turned into. It holds the number of one entry of the codebook.",
        "标记（token）：图片变成的网格中的一格，存放一个码字的编号。",
    ),
    "term_codebook": (
        "Codebook: the learned list of vectors (codes) that tokens choose from. "
        "A codebook of K codes costs log₂ K bits a token.",
        "码本：学到的一组向量（码字），标记从中选取。码本有 K 个码字时，每个标记花 log₂ K 比特。",
    ),
    "term_quantise": (
        "Quantisation: every cell of the map is replaced by its nearest code, so that its number is all that is kept.",
        "量化：特征图的每一格换成最近的码字，于是只需保存它的编号。",
    ),
    "term_bits_per_pixel": (
        "Bits per pixel: the size of what is stored, divided by the number of pixels. The original has 24.",
        "每像素位数：存储大小除以像素数。原图为 24。",
    ),
    "term_psnr": (
        "PSNR, in decibels (dB): how small the average difference of a pixel is. 20 is rough, 30 good, 40 hardly seen.",
        "PSNR（峰值信噪比，分贝）：像素平均差异有多小。20 较粗糙，30 良好，40 几乎看不出。",
    ),
    "term_ssim": (
        "SSIM: how alike the structure of small windows is, rather than their single pixels. 1 is identical.",
        "SSIM（结构相似度）：比较小窗口的结构，而非单个像素。1 表示完全相同。",
    ),
    "term_perplexity": (
        "Perplexity: how many codes would do if all were used equally often. Far below the codebook's size, much of it "
        "lies idle.",
        "困惑度：若所有码字同样常用，需要多少个。远小于码本大小，说明大半闲置。",
    ),
    "term_prior": (
        "Prior: a second network that has learned which tokens follow which, and so can draw new pictures.",
        "先验：第二个网络，学会了哪些标记跟在哪些之后，因而能画出新图。",
    ),
    "term_surprisal": (
        "Surprisal: −log p of a token given those before it. Low where the prior saw it coming, high where it did not. "
        "In bits, or in nats (1 nat = 1.44 bits).",
        "意外度：标记在前文条件下的 −log p。先验料到则低，没料到则高。以比特或纳特计（1 纳特 = 1.44 比特）。",
    ),
    "term_temperature": (
        "Temperature: what the prior's scores are divided by before drawing. Low makes likely codes likelier still.",
        "温度：抽取前用来除先验打分的数。越低，本来可能的码字越可能。",
    ),
    "term_top_k": (
        "top-k: before drawing, all but the k likeliest codes are struck out.",
        "top-k：抽取前，只留下最可能的 k 个码字。",
    ),
    "term_top_p": (
        "top-p (nucleus sampling): before drawing, only the likeliest codes stay that together reach probability p.",
        "top-p（核采样）：抽取前，只留下合计概率达到 p 的最可能码字。",
    ),
    "term_seed": (
        "Seed: the number that random draws start from. The same seed repeats them exactly.",
        "随机种子：随机抽取的起点。相同的种子会完全重现。",
    ),
    "term_lerp": (
        "lerp, linear interpolation: (1 − t)·a + t·b for every number of the latent.",
        "lerp（线性插值）：潜变量的每个数都取 (1 − t)·a + t·b。",
    ),
    "term_slerp": (
        "slerp, spherical interpolation: along the arc between two latents, so that the length changes evenly instead "
        "of shrinking halfway.",
        "slerp（球面插值）：沿两个潜变量之间的圆弧走，长度均匀变化，而不是在中途缩短。",
    ),
    "term_kl": (
        "KL term: the part of a VAE's training that pulls every latent towards N(0, I), plain Gaussian noise.",
        "KL 项：VAE 训练中把每个潜变量拉向 N(0, I)（标准高斯噪声）的那一部分。",
    ),
    # Gradio's own, which it leaves in English
    "gradio_upload": ("Upload file", "上传文件"),
    "gradio_file": ("File upload", "上传文件"),
    "gradio_camera": ("Capture from camera", "用摄像头拍照"),
    "gradio_paste": ("Paste from clipboard", "从剪贴板粘贴"),
    "gradio_access": ("Click to Access Webcam", "点击以使用摄像头"),
    "gradio_grant": ("grant webcam access", "允许使用摄像头"),
    "gradio_capture": ("capture photo", "拍照"),
    "gradio_empty": ("Empty value", "空"),
    "gradio_footer": ("Gradio footer navigation", "页脚导航"),
    "gradio_complete": ("Complete", "完成"),
    "gradio_tabs": ("More tabs", "更多标签页"),
}
