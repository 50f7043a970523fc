"""Words of the Interpolate tab."""

# key: (English, Chinese). {} marks what is filled in.
WORDS: dict[str, tuple[str, str]] = {
    # pictures
    "slots": ("Choose a place, then a picture", "先选位置，再选图片"),
    "slot": ("{}: {}", "{}：{}"),
    "slot_own": ("Your picture", "你的图片"),
    "slot_carried": ("From {}", "来自 {}"),
    "exchange": ("Exchange A and B", "交换 A 和 B"),
    "put_example": ("Put in {}", "放到 {}"),
    # options
    "mode": ("What to make", "做什么"),
    "mode_paths": ("Paths from A to B", "从 A 到 B 的路径"),
    "mode_corners": ("Four corners", "四角混合"),
    "codec": ("Codec", "编码器"),
    "frames": ("Frames", "帧数"),
    "side": ("Grid side", "网格边长"),
    "size_vector": ("AE and VAE work at one size only.", "AE 和 VAE 只有一种尺寸。"),
    "seed": ("[seed:Seed]", "[seed:随机种子]"),
    "seed_note": (
        "Decides every random order. The same seed, the same pictures.",
        "决定随机顺序。种子相同，结果相同。",
    ),
    "reseed": ("Another seed", "换个种子"),
    # results
    "position": ("Position", "位置"),
    "position_now": ("{} of {}", "第 {} 帧，共 {} 帧"),
    "play": ("Play", "播放"),
    "pause": ("Pause", "暂停"),
    "progress": ("{} of {} frames", "{} / {} 帧"),
    "path_pixel": ("Pixel cross-fade", "像素淡入淡出"),
    "path_lerp": ("Straight line", "直线"),
    "path_slerp": ("Arc", "圆弧"),
    "path_requantize": ("Straight line, quantised again", "直线，再量化"),
    "path_random": ("Token swap, random", "标记替换，随机"),
    "path_sweep": ("Token swap, sweep", "标记替换，扫过"),
    "path_nearest": ("Token swap, nearest codes first", "标记替换，相近码字优先"),
    "short_pixel": ("Pixels", "像素"),
    "short_lerp": ("Line", "直线"),
    "short_slerp": ("Arc", "圆弧"),
    "short_requantize": ("Line, quantised", "直线再量化"),
    "short_random": ("Random", "随机"),
    "short_sweep": ("Sweep", "扫过"),
    "short_nearest": ("Nearest", "相近优先"),
    "about_pixel": (
        "The baseline: no codec on the way, colours only. Halfway, both pictures shine through each other.",
        "基准：途中不用编码器，只混合颜色。走到一半，两张图叠在一起。",
    ),
    "about_lerp": (
        "Every number of the [latent:latent] goes straight to its new value ([lerp:lerp]). "
        "Does one thing turn into another, or fade?",
        "[latent:潜变量]的每个数字直线走到新值（[lerp:lerp]）。是一物变成另一物，还是淡出淡入？",
    ),
    "about_slerp": (
        "The latent turns instead of cutting the corner ([slerp:slerp]): its length stays usual, "
        "so contrast does not drop.",
        "潜变量转过去，而不是抄近路（[slerp:slerp]）：长度保持正常，对比度不会下降。",
    ),
    "about_requantize": (
        "The map before [quantise:quantisation] goes straight; at every step each cell takes its nearest "
        "[codebook:code]. Cells hold out, then jump.",
        "[quantise:量化]前的特征图走直线，每一步各单元取最近的[codebook:码字]。单元先坚持，再跳变。",
    ),
    "about_random": (
        "Cell by cell, [token:tokens] of A are replaced by those of B, in an order drawn by the seed.",
        "按种子抽出的顺序，逐个单元把 A 的[token:标记]换成 B 的。",
    ),
    "about_sweep": (
        "The same swap as a wipe from the left. Watch the seam: the decoder blends across it.",
        "同样的替换，从左向右扫过。看接缝：解码器会把它融合。",
    ),
    "about_nearest": (
        "The same swap, beginning where the two codes are most alike: small changes first, big ones last.",
        "同样的替换，先换最相似的码字：小变化在前，大变化在后。",
    ),
    "frame_alt": ("{}, frame {} of {}", "{}，第 {} 帧，共 {} 帧"),
    "film": ("Film strip: {}", "胶片：{}"),
    "save_webp": ("Save WebP", "保存 WebP"),
    "save_gif": ("Save GIF", "保存 GIF"),
    "steps_title": ("Size of each step", "每一步的大小"),
    "steps_note": (
        "Root mean square change of a pixel from one frame to the next, in levels of 0 to 255. "
        "An even path is flat, a jumpy one is jagged.",
        "相邻两帧像素变化的均方根，以 0 至 255 级计。均匀的路径是平线，跳跃的路径是锯齿。",
    ),
    "changed_title": ("Tokens changed at each step", "每一步改变的标记数"),
    "changed_note": (
        "Swaps share the cells that differ evenly over the steps; the line that is quantised again does not.",
        "替换把不同的单元均分到各步；再量化的直线则不然。",
    ),
    "step": ("step", "步"),
    "step_of": ("{}, step {}: {}", "{}，第 {} 步：{}"),
    "corners_title": ("Between four pictures", "四张图片之间"),
    "corners_vector": (
        "Every tile mixes the four latents, weighed by how near it is to each corner.",
        "每一格按离四角的远近混合四个潜变量。",
    ),
    "corners_tokens": (
        "Every tile takes each of its tokens from one of the four, more often from a near corner. "
        "The seed decides which.",
        "每一格的每个标记取自四张图之一，近的角更常被取到，由种子决定。",
    ),
    "across": ("Across", "横向"),
    "down": ("Down", "纵向"),
    "tile": ("Row {}, column {}", "第 {} 行第 {} 列"),
}
