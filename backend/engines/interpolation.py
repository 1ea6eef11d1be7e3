"""A linear merge of two tensors in memory, to the bit what mergekit writes to disk: alpha can be moved live."""

import torch


def interpolate(
    direct: torch.Tensor, pairwise: torch.Tensor, alpha: float, out_dtype: torch.dtype = torch.bfloat16
) -> torch.Tensor:
    """alpha * direct + (1 - alpha) * pairwise, of one shape, computed in float32 and rounded once to out_dtype.

    alpha: in 0..1, the weight of the direct-assessment expert. Step by step the arithmetic of
    mergekit/merge_methods/linear.py 0.1.5, which divides by the sum of the float32 weights as well, though that
    is nearly 1, and which works behind a leading axis of one output. tests/test_merge_process.py holds both together.
    """
    experts = (direct.to(torch.float32).unsqueeze(0), pairwise.to(torch.float32).unsqueeze(0))
    weights = torch.tensor([[alpha, 1 - alpha]], dtype=torch.float32, device=direct.device)
    coefficient_shape = (1,) * experts[0].ndim
    merged = torch.zeros_like(experts[0])
    for expert, weight in zip(experts, weights.unbind(1), strict=True):
        merged.addcmul_(expert, weight.reshape(coefficient_shape))
    merged.div_(weights.sum(dim=1).reshape(coefficient_shape))
    return merged[0].to(out_dtype)
