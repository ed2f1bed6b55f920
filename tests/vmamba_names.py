"""Names and shapes of a released VMamba state dict, written down from the authors' definition of s2l5 and s2l15:
channels first, ln2d, patch embedding v2, downsampling v3, ssm_ratio 2, d_state 1, no conv bias, mlp_ratio 4, 1000
classes.
"""

from __future__ import annotations


def official(depths: tuple[int, ...], width: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    d = [width, 2 * width, 4 * width, 8 * width]
    found: dict[str, tuple[int, ...]] = {
        "patch_embed.0.weight": (width // 2, 3, 3, 3),
        "patch_embed.0.bias": (width // 2,),
        "patch_embed.2.weight": (width // 2,),
        "patch_embed.2.bias": (width // 2,),
        "patch_embed.5.weight": (width, width // 2, 3, 3),
        "patch_embed.5.bias": (width,),
        "patch_embed.7.weight": (width,),
        "patch_embed.7.bias": (width,),
        "classifier.norm.weight": (d[3],),
        "classifier.norm.bias": (d[3],),
        "classifier.head.weight": (1000, d[3]),
        "classifier.head.bias": (1000,),
    }
    for i, depth in enumerate(depths):
        inner, rank = 2 * d[i], -(-d[i] // 16)
        for j in range(depth):
            block = f"layers.{i}.blocks.{j}"
            found |= {
                f"{block}.norm.weight": (d[i],),
                f"{block}.norm.bias": (d[i],),
                f"{block}.op.x_proj_weight": (4, rank + 2, inner),
                f"{block}.op.A_logs": (4 * inner, 1),
                f"{block}.op.Ds": (4 * inner,),
                f"{block}.op.dt_projs_weight": (4, inner, rank),
                f"{block}.op.dt_projs_bias": (4, inner),
                f"{block}.op.out_norm.weight": (inner,),
                f"{block}.op.out_norm.bias": (inner,),
                f"{block}.op.in_proj.weight": (inner, d[i]),
                f"{block}.op.conv2d.weight": (inner, 1, 3, 3),
                f"{block}.op.out_proj.weight": (d[i], inner),
                f"{block}.norm2.weight": (d[i],),
                f"{block}.norm2.bias": (d[i],),
                f"{block}.mlp.fc1.weight": (4 * d[i], d[i]),
                f"{block}.mlp.fc1.bias": (4 * d[i],),
                f"{block}.mlp.fc2.weight": (d[i], 4 * d[i]),
                f"{block}.mlp.fc2.bias": (d[i],),
            }
        if i < 3:
            down = f"layers.{i}.downsample"
            found |= {
                f"{down}.1.weight": (d[i + 1], d[i], 3, 3),
                f"{down}.1.bias": (d[i + 1],),
                f"{down}.3.weight": (d[i + 1],),
                f"{down}.3.bias": (d[i + 1],),
            }
    return found
