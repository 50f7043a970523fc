"""The tasks behind the Edit tokens tab: tokens there and back, the prior, the atlas; the endpoints; the handlers."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import numpy as np
import pytest
import torch
from pictures import photo
from PIL import Image, ImageOps

from vq import atlas, metrics, tokenfile
from vq.catalogue import CODECS
from vq.editing import EditError
from vq.image import fit_square, open_picture, to_picture, to_tensor
from vq.messages import LoadError
from vq.tasks import edit as tasks
from vq.ui.common import Result, Studio
from vq.ui.edit import first_source
from vq.ui.edit_desk import Desk
from vq.ui.edit_shelf import KEPT
from vq.ui.reconstruct import EXAMPLES


@pytest.fixture(scope="module")
def studio(load, load_prior):
    counts = {"counts": torch.arange(32)}
    return Studio(load, {"vqvae": counts}.get, load_prior, CODECS, gr.State(None), gr.Tabs(render=False))


def begun(desk, name="vqvae", size=64, second=None, donor=None):
    sent = {"codec": name, "size": size, "example": None}
    return opened(desk.begin(None, photo(), sent, second, donor, ()))


def edited(desk, *message):
    text, editor = desk.edit(*message)
    return json.loads(text), editor


def opened(shown):
    """What a handler shows: the canvas's value, read from its text, the choices and the editor."""
    return json.loads(shown.canvas), shown.source, shown.editor


def test_sizes_give_grids_of_8_to_64(load):
    assert tasks.sizes(load("vqvae")) == (64, 128, 256)
    assert tasks.sizes(load("vqgan")) == (64, 128, 256, 512)
    assert tasks.sizes(load("ae")) == ()


def test_encode_and_decode_are_the_codec(load):
    codec = load("vqgan")
    original, tokens = tasks.encode(codec, photo(), 128)
    encoded = codec.encode(to_tensor(fit_square(photo(), 128)))
    assert np.array_equal(tokens, encoded.tokens[0].numpy())
    assert torch.equal(tasks.decode(codec, tokens), codec.decode(encoded.z))
    assert tasks.psnr(original, tasks.decode(codec, tokens)) == float(
        metrics.psnr(to_tensor(original), codec.decode(encoded.z))
    )
    with pytest.raises(ValueError, match="size"):
        tasks.encode(codec, photo(), 100)


@pytest.mark.parametrize(("codec", "size", "prior"), [("vqvae", 64, "PixelCNN"), ("vqgan", 64, "Transformer")])
def test_resampling_keeps_everything_outside_the_cells(load, load_prior, codec, size, prior):
    model = load(codec)
    _, tokens = tasks.encode(model, photo(), size)
    match = tasks.fit_prior(load_prior, model, codec, tokens.shape)
    assert (match.reason, match.title) == (None, prior)
    mask = np.zeros(tokens.shape, bool)
    mask[3:6, 2:7] = True
    variants = tasks.variants(match.prior, tokens, mask, seed=5)
    assert len(variants) == 4 and [v.bits for v in variants] == sorted(v.bits for v in variants)
    assert all(np.array_equal(v.tokens[~mask], tokens[~mask]) for v in variants)
    assert len({v.tokens.tobytes() for v in variants}) == 4
    again = tasks.variants(match.prior, tokens, mask, seed=5)
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(variants, again, strict=True))
    for v in variants:
        assert v.bits == pytest.approx(float(tasks.surprisal(match.prior, v.tokens).sum()), rel=1e-4)


def test_why_there_is_no_prior(load, load_prior):
    codec = load("vqvae")

    def missing(name, codec):
        raise LoadError("missing", name=name, folder="/secret")

    def unfit(name, codec):
        raise ValueError("another codebook")

    assert tasks.fit_prior(load_prior, codec, "other", (16, 16)).reason == "none"
    assert tasks.fit_prior(missing, codec, "vqvae", (16, 16)).reason == "missing"
    assert tasks.fit_prior(unfit, codec, "vqvae", (16, 16)).reason == "unfit"
    match = tasks.fit_prior(load_prior, codec, "vqvae", (32, 32))
    assert (match.reason, match.grid) == ("grid", (16, 16))


def test_edit_applies_in_order_and_resamples(load, load_prior):
    codec = load("vqvae")
    _, tokens = tasks.encode(codec, photo(), 64)
    cells = [[0, 0], [0, 1]]
    edits = [{"op": "set", "code": 3}, {"op": "set", "code": 4, "cells": cells}]
    out = tasks.edit(codec, "vqvae", tokens.tolist(), edits, load_prior)
    assert out[0, :2].tolist() == [4, 4] and (np.delete(out, [0, 1]) == 3).all()
    redrawn = tasks.edit(codec, "vqvae", tokens.tolist(), [{"op": "resample", "cells": cells, "seed": 1}], load_prior)
    assert np.array_equal(np.delete(redrawn, [0, 1]), np.delete(tokens, [0, 1]))
    for wrong in ("x", [{"op": "resample", "seed": "1"}], [1], [{"op": "set", "code": 99}]):
        with pytest.raises(EditError):
            tasks.edit(codec, "vqvae", tokens.tolist(), wrong, load_prior)
    many = [{"op": "resample", "cells": cells, "seed": i} for i in range(tasks.RESAMPLES + 1)]
    with pytest.raises(EditError, match="At most 8 of the edits"):
        tasks.edit(codec, "vqvae", tokens.tolist(), many, load_prior)
    whole = [{"op": "nearest", "distance": 1}] * (tasks.NEARESTS // tokens.size)
    tasks.edit(codec, "vqvae", tokens.tolist(), whole, load_prior)
    few = {"op": "nearest", "distance": 1, "cells": cells}
    with pytest.raises(EditError, match="at most 131072 cells together"):
        tasks.edit(codec, "vqvae", tokens.tolist(), [*whole, few], load_prior)
    with pytest.raises(EditError, match=r"op must be one of .*transplant, resample\.$"):
        tasks.edit(codec, "vqvae", tokens.tolist(), [{"op": "choose", "index": 0}], load_prior)
    with pytest.raises(EditError, match="No prior"):
        tasks.edit(codec, "vqvae", [[0] * 8] * 8, [{"op": "resample", "seed": 1}], load_prior)


def test_the_atlas_holds_every_code_once_and_neighbours_look_alike():
    generator = torch.Generator().manual_seed(0)
    for count in (1, 2, 10, 37, 256):
        colours = torch.rand(count, 3, 1, 1, generator=generator) * 2 - 1
        codes = atlas.arrange(colours.expand(-1, -1, 4, 4))
        assert sorted(codes.tolist()) == list(range(count))

    def roughness(order):
        grid = colours[:, :, 0, 0].numpy()[order].reshape(16, 16, 3)
        return np.abs(np.diff(grid, axis=0)).mean() + np.abs(np.diff(grid, axis=1)).mean()

    features = atlas._features(colours.expand(-1, -1, 4, 4))
    assert roughness(codes) < 0.75 * roughness(atlas._by_directions(features, 16)) < 0.75 * roughness(np.arange(256))


def test_a_patch_is_the_middle_of_a_field_of_its_code(load):
    codec = load("vqgan")
    tiles = atlas.patches(codec)
    assert tiles.shape == (32, 3, 8, 8)
    field = codec.decode(codec.lookup(torch.full((1, 3, 3), 7)))
    torch.testing.assert_close(tiles[7], field[0, :, 8:16, 8:16], atol=1e-5, rtol=0)


def test_the_book_follows_the_statistics(load):
    counts = torch.arange(32)
    book = tasks.book(load("vqvae"), counts)
    assert book.dead == 1 and book.perplexity == pytest.approx(metrics.perplexity(counts))
    assert book.sheet.size == (6 * 4, 6 * 4) and book.nearest.shape == (32, 8)
    tiles = atlas.patches(load("vqvae"))
    where = int(np.flatnonzero(book.codes == 5)[0])
    row, column = divmod(where, book.columns)
    tile = book.sheet.crop((column * 4, row * 4, column * 4 + 4, row * 4 + 4))
    assert tile.tobytes() == to_picture(tiles[5]).tobytes()
    assert tasks.book(load("vqvae"), None).counts is None


def test_a_message_cannot_hold_the_queue_for_minutes(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk, size=256)
    change = {"op": "nearest", "distance": 1}
    most = tasks.NEARESTS // editor.tokens.size
    live, _ = edited(desk, editor, {"session": 1, "request": 1, "edits": [change] * most})
    assert live["undos"] > 0
    with pytest.raises(gr.Error, match="at most 131072 cells together"):
        desk.edit(editor, {"session": 1, "request": 2, "edits": [change, {"op": "undo"}] * (most + 1)})


def test_visitors_who_come_together_wait_for_one_atlas(studio, monkeypatch):
    desk, real, began = Desk(studio), tasks.book, []

    def slow(*arguments):
        began.append(arguments)
        time.sleep(0.2)
        return real(*arguments)

    monkeypatch.setattr(tasks, "book", slow)
    with ThreadPoolExecutor(4) as pool:
        atlases = list(pool.map(desk.book, ["vqvae"] * 4))
    assert len(began) == 1 and len(set(atlases)) == 1


# What the page's handlers do with what a browser sends.


def test_an_edit_message_is_a_step_each_and_names_what_changed(studio, load):
    desk = Desk(studio)
    update, source, editor = begun(desk)
    assert source["sizes"] == (64, 128, 256) and update["start"]["prior"]["reason"] is None
    sent = [{"op": "set", "code": i, "cells": [[i, i]]} for i in range(8)]
    live, after = edited(desk, editor, {"session": 1, "request": 9, "edits": sent})
    assert (live["request"], live["undos"], live["redos"]) == (
        9,
        int((np.diag(editor.tokens)[:8] != range(8)).sum()),
        0,
    )
    assert live["changed"] == int((after.tokens != editor.tokens).sum())
    undo = [{"op": "undo"}] * 8
    live, back = edited(desk, after, {"session": 1, "request": 10, "edits": undo})
    assert live["picture"] == update["picture"] and np.array_equal(back.tokens, editor.tokens)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"session": 1, "request": "1", "edits": []},
        {"session": 1, "request": 1, "edits": None},
        {"session": 1, "request": 1, "edits": [{"op": "set", "code": 1}, {"op": "set", "code": 99}]},
        {"session": 1, "request": 1, "edits": [{"op": "undo"}] * 2000},
    ],
)
def test_what_no_page_would_send(studio, data):
    desk = Desk(studio)
    _, _, editor = begun(desk)
    for task in (desk.edit, desk.resample) if data != {"session": 1, "request": 1, "edits": None} else (desk.edit,):
        with pytest.raises(gr.Error):
            task(editor, data)


def test_messages_for_an_earlier_picture_change_nothing(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk)
    assert desk.edit(editor, {"session": 0, "request": 1, "edits": [{"op": "set", "code": 1}]}) == (
        gr.skip(),
        gr.skip(),
    )


def test_a_carried_result_keeps_its_very_tokens(studio, load):
    codec = load("vqvae")
    tokens = np.arange(256, dtype=np.int64).reshape(16, 16) % 32
    picture = np.zeros((64, 64, 3), np.uint8)
    result = Result("vqvae", picture, picture, np.zeros((1, 4, 16, 16), np.float32), tokens)
    update, source, editor = opened(Desk(studio).take(None, result, None, None, ()))
    assert np.array_equal(editor.tokens, tokens) and (source["codec"], source["size"]) == ("vqvae", 64)
    assert update["start"]["h"] == 16
    assert codec.codebook_size == 32
    big = Result("vqvae", picture, picture, result.z, np.zeros((128, 128), np.int64))
    with pytest.raises(gr.Error, match="64 cells"):
        Desk(studio).take(None, big, None, None, ())


def test_a_token_file_comes_back_and_a_bad_one_is_refused(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk, "vqgan", 128)
    text = desk.save(editor, {"request": 1})["text"]
    update, source, loaded = opened(desk.load_file(editor, {"text": text}, None, None, ()))
    assert np.array_equal(loaded.tokens, editor.tokens) and loaded.original is None
    assert update["psnr"] is None and source["codec"] == "vqgan" and source["size"] == 128
    other = json.dumps(json.loads(text) | {"codec": "vqvae"})
    for bad in ({"text": other}, {"text": text[:-20]}, {"text": 3}, None):
        with pytest.raises(gr.Error):
            desk.load_file(editor, bad, None, None, ())


def test_a_token_file_need_not_be_square(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk, "vqvae", 128)
    file = json.loads(desk.save(editor, {"request": 1})["text"])
    oblong = json.dumps(file | {"h": 8, "tokens": file["tokens"][:8]})
    update, source, loaded = opened(desk.load_file(editor, {"text": oblong}, None, {"example": "rocket"}, ()))
    assert (update["start"]["h"], update["start"]["w"], source["square"]) == (8, 32, False)
    middle = ImageOps.fit(open_picture(EXAMPLES["rocket"]), (128, 32), Image.Resampling.LANCZOS)
    assert torch.equal(torch.from_numpy(loaded.donor)[None], studio.load("vqvae").encode(to_tensor(middle)).tokens)
    live, after = edited(desk, loaded, {"session": loaded.session, "request": 1, "edits": [{"op": "transplant"}]})
    assert np.array_equal(after.tokens, loaded.donor) and live["undos"] == 1
    assert desk.save(loaded, {"request": 2})["text"].count("[") == 9
    _, source, again = opened(desk.begin(loaded, None, source | {"size": 64}, None, None, ()))
    assert again.tokens.shape == (16, 16) and source["square"]


def painted(desk, editor, code=1):
    return edited(desk, editor, {"session": editor.session, "request": 1, "edits": [{"op": "set", "code": code}]})[1]


def chosen(desk, old, name, size, example=None):
    return opened(desk.begin(old, None, {"codec": name, "size": size, "example": example}, None, None, ()))


def test_edits_of_a_picture_wait_in_their_codec_and_grid(studio):
    """And a picture that was only looked at takes no place."""
    desk = Desk(studio)
    _, _, plain = chosen(desk, None, "vqvae", 64, "chelsea")
    first = painted(desk, plain)
    update, _, second = chosen(desk, first, "vqgan", 64, "chelsea")
    assert not update["start"]["restored"] and second.history.undos == 0
    second = painted(desk, second, 2)
    update, _, back = chosen(desk, second, "vqvae", 64, "chelsea")
    assert update["start"]["restored"] and (update["undos"], update["changed"]) == (1, int((plain.tokens != 1).sum()))
    assert np.array_equal(back.tokens, first.tokens) and np.array_equal(back.history.undo().tokens, plain.tokens)
    assert update["start"]["before"] == chosen(desk, None, "vqvae", 64, "chelsea")[0]["picture"]
    _, _, other = chosen(desk, back, "vqvae", 128, "coffee")
    _, _, again = chosen(desk, other, "vqgan", 64, "chelsea")
    assert (again.tokens == 2).all() and len(again.shelf) == 2


def test_an_upload_comes_back_with_its_edits(studio):
    desk = Desk(studio)
    first = painted(desk, begun(desk)[2])
    _, _, example = chosen(desk, first, "vqvae", 64, "rocket")
    sent = {"codec": "vqvae", "size": 64, "example": None}
    _, _, back = opened(desk.begin(example, photo(), sent, None, None, ()))
    assert (back.tokens == 1).all() and back.history.undos == 1
    _, _, other = opened(desk.begin(example, photo(64, 96), sent, None, None, ()))
    assert other.history.undos == 0


def test_a_token_file_opens_as_it_is_and_undo_leads_to_what_was_made_of_it(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk)
    text = desk.save(editor, {"request": 1})["text"]
    _, _, loaded = opened(desk.load_file(editor, {"text": text}, None, None, ()))
    changed = painted(desk, loaded)
    _, _, elsewhere = chosen(desk, changed, "vqgan", 128)
    _, _, back = chosen(desk, painted(desk, elsewhere, 3), "vqvae", 64)
    assert np.array_equal(back.tokens, changed.tokens)
    _, _, again = opened(desk.load_file(back, {"text": text}, None, None, ()))
    assert np.array_equal(again.tokens, loaded.tokens) and np.array_equal(again.history.undo().tokens, changed.tokens)


def test_the_shelf_is_bounded_and_forgets_the_longest_unused(studio):
    desk = Desk(studio)
    _, _, editor = begun(desk)
    texts = []
    for i in range(KEPT + 2):
        tokens = editor.tokens.copy()
        tokens[0, 0] = i
        source = desk._source(editor.entry)
        texts.append(tokenfile.write(tokens, source))
        _, _, loaded = opened(desk.load_file(editor, {"text": texts[-1]}, None, None, ()))
        editor = painted(desk, loaded, 30)
    assert len(editor.shelf) == KEPT
    assert opened(desk.load_file(editor, {"text": texts[0]}, None, None, ()))[2].history.undos == 0
    assert opened(desk.load_file(editor, {"text": texts[4]}, None, None, ()))[2].history.undos == 2
    assert sum(item.grids.nbytes for item in editor.shelf) < 16 * 16 * 2 * KEPT * 2 + 1


def test_the_second_picture_follows_codec_and_grid(studio, load):
    desk = Desk(studio)
    _, _, editor = begun(desk, "vqvae", 128, donor={"example": "rocket"})
    assert editor.donor.shape == (32, 32)
    given, editor = desk.set_donor(editor, photo(), None)
    assert np.array_equal(editor.donor, tasks.encode(load("vqvae"), photo(), 128)[1]) and json.loads(given)["picture"]
    live, after = edited(
        desk, editor, {"session": 1, "request": 1, "edits": [{"op": "transplant", "cells": [[2, 3], [4, 5]]}]}
    )
    assert after.tokens[2, 3] == editor.donor[2, 3] and live["changed"] <= 2


def test_only_grid_codecs_are_offered(studio):
    assert [name for name, _ in first_source(studio)["codecs"]] == ["vqvae", "vqgan"]
    desk = Desk(studio)
    for sent in ({"codec": "ae", "size": 64, "example": None}, {"codec": "vqvae"}, None, {"codec": [], "size": 1}):
        with pytest.raises(gr.Error):
            list(desk.begin(None, photo(), sent, None, None, ()))


def test_endpoints(page_url, load, tmp_path):
    from gradio_client import Client, handle_file

    photo().save(tmp_path / "photo.png")
    client = Client(page_url, verbose=False)
    file = client.predict(picture=handle_file(tmp_path / "photo.png"), codec="vqvae", size=64, api_name="/token_file")
    _, tokens = tasks.encode(load("vqvae"), photo(), 64)
    assert file["tokens"] == tokens.tolist() and (file["h"], file["codec"]) == (16, "vqvae")
    edits = [{"op": "set", "code": 5, "cells": [[1, 2]]}]
    got, path = client.predict(codec="vqvae", tokens=file["tokens"], edits=edits, api_name="/edit_tokens")
    want = tokens.copy()
    want[1, 2] = 5
    assert got == want.tolist()
    with Image.open(path) as picture:
        assert picture.convert("RGB").tobytes() == to_picture(tasks.decode(load("vqvae"), want)).tobytes()
    with pytest.raises(Exception, match="whole numbers from 0 to 31"):
        client.predict(codec="vqvae", tokens=[[99] * 8] * 8, edits=[], api_name="/edit_tokens")
