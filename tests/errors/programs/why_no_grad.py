"""`lamina.why_no_grad(tensor, loss)`: asking before an error comes."""

import lamina as torch

weight = torch.ones(3, requires_grad=True)
copy = weight.detach().clone().requires_grad_()
loss = (copy * 2).sum()
loss.backward()
print(torch.why_no_grad(weight, loss))
print(torch.why_no_grad(loss))
