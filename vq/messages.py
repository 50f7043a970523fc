"""What can go wrong when a model is loaded or published: one sentence each, in English and Chinese.

Every sentence names the cause and the remedy. Needs neither torch nor diffusers, so a page can use it at once.
"""

from typing import Any, Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LONGEST = 300  # characters that a sentence quotes of a name, a path or what a library said

# code: (English, Chinese); the names in braces are the parameters of the LoadError that carries the code.
ERRORS: dict[str, tuple[str, str]] = {
    "unknown": (
        "'{name}' is neither a folder with a config.json, nor a repository like org/name, nor one of {names}.",
        "“{name}”既不是含有 config.json 的文件夹，也不是形如 org/name 的仓库，也不在以下名称之中：{names}。",
    ),
    "missing": (
        "The weights of '{name}' are not in {folder}: train them with python -m vq.train {name}, or set VQ_WEIGHTS to "
        "where they are published (org/prefix for org/prefix-{name}).",
        "{folder} 中没有“{name}”的权重：请用 python -m vq.train {name} 训练，或将 VQ_WEIGHTS 设为其发布位置"
        "（org/prefix 表示 org/prefix-{name}）。",
    ),
    "source": (
        "{field} can't be '{value}': give the repository as org/name, the subfolder as a plain path inside it and the "
        "revision as a branch, tag or commit.",
        "{field} 不能是“{value}”：仓库请写作 org/name，子文件夹请写仓库内的普通路径，版本请写分支、标签或提交。",
    ),
    "repo": (
        "{host} has no repository '{repo}': check its spelling, or set HF_TOKEN if it is private.",
        "{host} 上没有仓库“{repo}”：请检查拼写；若为私有仓库，请设置 HF_TOKEN。",
    ),
    "revision": (
        "'{repo}' has no revision '{revision}': give one of its branches, tags or commits.",
        "“{repo}”没有版本“{revision}”：请填写该仓库已有的分支、标签或提交。",
    ),
    "gated": (
        "'{repo}' is gated or private: accept its terms on {host} and set HF_TOKEN to a token that may read it.",
        "“{repo}”需要授权或为私有：请在 {host} 上接受其条款，并将 HF_TOKEN 设为有读取权限的令牌。",
    ),
    "files": (
        "'{repo}' has no {file} {place}: give the subfolder that holds the autoencoder{found}.",
        "“{repo}”{place}没有 {file}：请填写存放自编码器的子文件夹{found}。",
    ),
    "down": (
        "{host} can't be reached: check the network connection and HF_ENDPOINT, then try again.",
        "无法连接 {host}：请检查网络连接与 HF_ENDPOINT，然后重试。",
    ),
    "hanging": (
        "{host} has sent nothing for {seconds} seconds: try again later, or allow more with VQ_DEADLINE.",
        "{host} 已有 {seconds} 秒没有响应：请稍后重试，或用 VQ_DEADLINE 放宽时限。",
    ),
    "elsewhere": (
        "{host} keeps '{repo}' on another server, and this page asks no other for its visitors: pick another "
        "checkpoint, or load it in Python.",
        "{host} 将“{repo}”存放在其他服务器上，而本页不会为访客访问其他服务器：请换一个检查点，或在 Python 中加载。",
    ),
    "server": (
        "{host} answered with an error ({status}): try again later.",
        "{host} 返回了错误（{status}）：请稍后重试。",
    ),
    "cut": (
        "The connection to {host} broke while {file} was coming in: try again, nothing incomplete was kept.",
        "下载 {file} 时与 {host} 的连接中断：请重试，未完成的内容没有保留。",
    ),
    "truncated": (
        "{file} came shorter or longer than {host} announced ({got} of {size} bytes): try again, it was thrown away.",
        "收到的 {file} 与 {host} 公布的大小不符（{got} / {size} 字节）：已丢弃，请重试。",
    ),
    "hash": (
        "{file} does not match its checksum: try again; if it happens again, don't trust this source.",
        "{file} 与校验值不符：请重试；若再次出现，请勿信任该来源。",
    ),
    "pickle": (
        "'{name}' holds its weights only as a pickle ({file}), which can run any code and is never opened: pick a "
        "revision with safetensors, or convert it.",
        "“{name}”的权重只有 pickle 格式（{file}），它可以执行任意代码，因此绝不打开：请选用含 safetensors 的版本，"
        "或先转换格式。",
    ),
    "unsupported": (
        "'{name}' is a {found}, which is not supported: pick one of {supported}.",
        "“{name}”的类型是 {found}，不受支持：请选用 {supported} 之一。",
    ),
    "config": (
        "The config.json of '{name}' can't be used ({detail}): pick another checkpoint, or correct the file.",
        "“{name}”的 config.json 无法使用（{detail}）：请换一个检查点，或修正该文件。",
    ),
    "numbers": (
        "The weights of '{name}' hold numbers that are infinite or none at all ({detail}): pick another revision, or "
        "save it again.",
        "“{name}”的权重中有无穷大或非数值（{detail}）：请选用其他版本，或重新保存。",
    ),
    "keys": (
        "The weights of '{name}' don't fit its config.json ({detail}): pick another revision, or save it again.",
        "“{name}”的权重与其 config.json 不符（{detail}）：请选用其他版本，或重新保存。",
    ),
    "broken": (
        "{file} of '{name}' can't be read, it is missing, truncated or damaged: fetch or save it again.",
        "“{name}”的 {file} 无法读取，可能缺失、被截断或已损坏：请重新获取或保存。",
    ),
    "large": (
        "'{name}' takes {size}, more than the limit of {limit}: pick a smaller one, or raise VQ_MAX_BYTES.",
        "“{name}”需要 {size}，超过上限 {limit}：请选用更小的模型，或提高 VQ_MAX_BYTES。",
    ),
    "disk": (
        "There is no room for '{name}' in {folder} ({needed} needed): free some space, or point VQ_CACHE elsewhere.",
        "{folder} 中没有足够空间存放“{name}”（需要 {needed}）：请清理磁盘，或将 VQ_CACHE 指向别处。",
    ),
    "unwritable": (
        "Nothing can be stored in {folder} ({detail}): make it writable, or point VQ_CACHE elsewhere.",
        "无法写入 {folder}（{detail}）：请赋予写权限，或将 VQ_CACHE 指向别处。",
    ),
    "stopped": (
        "Loading '{name}' was stopped: nothing incomplete was kept, start it again any time.",
        "已停止加载“{name}”：未保留任何未完成的内容，可随时重新开始。",
    ),
    # What a visitor of the page is told, who can't change the settings of the machine: see LoadError.for_visitor.
    "visitor_repo": (
        "{host} has no public repository '{repo}': check its spelling, as org/name.",
        "{host} 上没有公开仓库“{repo}”：请检查拼写（org/name）。",
    ),
    "visitor_gated": (
        "'{repo}' is gated or private, and this page opens public checkpoints only: pick another, or load it in Python "
        "with your own token.",
        "“{repo}”需要授权或为私有，而本页只打开公开的检查点：请换一个，或在 Python 中用自己的令牌加载。",
    ),
    "visitor_down": (
        "{host} can't be reached from here: try again later.",
        "此处无法连接 {host}：请稍后重试。",
    ),
    "visitor_hanging": (
        "{host} has sent nothing for {seconds} seconds: try again later.",
        "{host} 已有 {seconds} 秒没有响应：请稍后重试。",
    ),
    "visitor_large": (
        "'{name}' takes {size}, more than the limit of {limit} on this page: pick a smaller one.",
        "“{name}”需要 {size}，超过本页上限 {limit}：请选用更小的模型。",
    ),
    "visitor_disk": (
        "There is no room for '{name}' on this server ({needed} needed): pick a smaller one, or tell its owner.",
        "服务器空间不足，无法存放“{name}”（需要 {needed}）：请选用更小的模型，或告知管理者。",
    ),
    "visitor_unwritable": (
        "This server can't store checkpoints at the moment: tell its owner.",
        "服务器目前无法存放检查点：请告知管理者。",
    ),
    "costly": (
        "'{name}' needs {cost} million operations a pixel, more than the {limit} million of this page: pick a lighter "
        "one.",
        "“{name}”每像素需要 {cost} 百万次运算，超过本页上限 {limit} 百万：请选用更轻的模型。",
    ),
    "gone": (
        "'{name}' has made room for others on this server: load it again under “Your checkpoint”.",
        "“{name}”已为其他模型让出空间：请在“你的检查点”中重新加载。",
    ),
    "card": (
        "{folder} has no README.md: write a model card that names data and licence, then publish again.",
        "{folder} 中没有 README.md：请先写好说明数据与许可证的模型卡片，再发布。",
    ),
    "refused": (
        "{host} does not let you write to '{repo}': set HF_TOKEN to a token with write access to it.",
        "{host} 不允许写入“{repo}”：请将 HF_TOKEN 设为有写权限的令牌。",
    ),
    "public": (
        "'{repo}' is public already: make it private on {host}, or publish without --private.",
        "“{repo}”已是公开仓库：请先在 {host} 上设为私有，或不带 --private 发布。",
    ),
    "upload": (
        "'{repo}' did not take the upload ({detail}): correct that and publish again.",
        "“{repo}”未接受上传（{detail}）：请改正后重新发布。",
    ),
}


def sentence(code: str, language: Language = "en", **parameters: Any) -> str:
    """The sentence of a code in a language. A parameter may be a pair (English, Chinese)."""
    i = LANGUAGES.index(language)
    words = {k: quoted(v[i] if isinstance(v, tuple) else v) for k, v in parameters.items()}
    return ERRORS[code][i].format(**words)


def quoted(value: Any) -> str:
    """As a sentence may quote it: on one line, without control characters, not endless."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


class LoadError(ValueError):
    """A model that can't be loaded or published. `code` is a key of ERRORS; str() is the English sentence."""

    def __init__(self, code: str, message: str | None = None, **parameters: Any):
        super().__init__(message or sentence(code, **parameters))
        self.code, self.parameters, self._message = code, parameters, message

    def for_visitor(self) -> "LoadError":
        """The same for somebody who isn't the owner: no settings as remedies, no paths of the server."""
        code = f"visitor_{self.code}"
        return LoadError(code, **self.parameters) if code in ERRORS else self

    def text(self, language: Language) -> str:
        """The sentence in a language; what was raised with a message of its own says just that."""
        return self._message or sentence(self.code, language, **self.parameters)
