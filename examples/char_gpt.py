"""A character-level GPT: 4 layers of causal self-attention, 128 wide, on 100,000 characters of Shakespeare."""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

DATA = Path(__file__).parent / "data" / "tinyshakespeare_100k.txt"
LAYERS, HEADS, WIDTH, CONTEXT = 4, 4, 128, 64


class Attention(nn.Module):
    """Each position looks at itself and at those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.project_in = nn.Linear(WIDTH, 3 * WIDTH)
        self.project_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        batch, length, _ = hidden.shape
        shape = (batch, length, HEADS, WIDTH // HEADS)
        query, key, value = (part.view(shape).transpose(1, 2) for part in self.project_in(hidden).split(WIDTH, dim=2))
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.project_out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))


class Block(nn.Module):
    """Attention and a two-layer network, each normalised before and added after."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(WIDTH), Attention()
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.attention(self.norm1(hidden))
        return hidden + self.mlp(self.norm2(hidden))


class GPT(nn.Module):
    """Characters to scores for the next character."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, vocabulary, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.characters(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))

    @torch.no_grad()
    def continue_text(self, tokens: torch.Tensor, count: int) -> torch.Tensor:
        """`tokens` (1, length) and the `count` most likely characters after them."""
        self.eval()
        for _ in range(count):
            scores = self(tokens[:, -CONTEXT:])[:, -1]
            tokens = torch.cat([tokens, scores.argmax(dim=-1, keepdim=True)], dim=1)
        return tokens


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a character-level GPT.")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--compile", action="store_true", help="run the steps through torch.compile")
    parser.add_argument("--every", type=int, default=20, help="print the loss every so many steps")
    args = parser.parse_args()

    torch.manual_seed(0)
    text = DATA.read_text(encoding="utf-8")
    characters = sorted(set(text))
    index = {character: number for number, character in enumerate(characters)}
    tokens = torch.tensor([index[character] for character in text])
    model = GPT(len(characters))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(text):,} characters, {len(characters)} different; {parameters:,} parameters")

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of training; the loss before it, and the norm of its gradient."""
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss, norm

    if args.compile:
        step = torch.compile(step)
    for number in range(args.steps):
        starts = torch.randint(len(tokens) - CONTEXT, (args.batch_size,))
        windows = torch.stack([tokens[start : start + CONTEXT + 1] for start in starts.tolist()])
        loss, norm = step(windows[:, :-1], windows[:, 1:])
        if number % args.every == 0 or number == args.steps - 1:
            print(f"step {number:4d}  loss {loss.item():.4f}  gradient norm {norm.item():.3f}")

    prompt = torch.tensor([[index[character] for character in "ROMEO:"]])
    written = model.continue_text(prompt, 60)[0].tolist()
    print(repr("".join(characters[token] for token in written)))


if __name__ == "__main__":
    main()
