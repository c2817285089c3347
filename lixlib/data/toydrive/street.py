"""What stands along a street of ToyDrive: buildings, plants, furniture, traffic, people, and decoys."""

import numpy as np

from lixlib.data.toydrive.objects import Builder
from lixlib.data.toydrive.palettes import CAR_PAINTS, CLOTHES, FACADES, FOLIAGE, pick
from lixlib.data.toydrive.solids import BOX, ELLIPSOID, LEAVES, ON_FACADE, ON_GROUND, PLAIN, POLE, TREE


def buildings(b: Builder, side, sign, edge, walls, kind) -> None:
    """A row of houses on one side of the road."""
    rng = b.rng
    setback = (rng.uniform(0.0, 1.2), rng.uniform(4, 10), rng.uniform(8, 25))[kind]
    if kind == 0 and rng.random() < 0.25:
        setback += rng.uniform(3, 8)
    y = rng.uniform(2, 10)
    while y < 150:
        length = (rng.uniform(5, 12), rng.uniform(4, 7), rng.uniform(4, 9))[kind]
        depth = rng.uniform(4.5, 7)
        height = (rng.uniform(7, 20), rng.uniform(3.2, 6.5), rng.uniform(3, 6))[kind]
        if rng.random() < (0.95, 0.85, 0.3)[kind]:
            centre = y + length
            d = sign * (edge + setback + depth + rng.uniform(0, 0.6))
            wall = walls[rng.integers(len(walls))] * rng.uniform(0.9, 1.1)
            trim = np.clip(wall * rng.uniform(1.1, 1.45), 0, 0.8) if rng.random() < 0.6 else wall * 0.65
            plain = rng.random() < 0.06 + 0.25 * b.difficulty
            gable = rng.random() < (0.2, 0.85, 0.8)[kind]
            b.building(b.road_x(centre) + d, centre, b.height(sign * (edge + setback)), b.heading(centre), depth,
                       length, height, wall, trim, gable, plain)  # fmt: skip
        y += 2 * length + (rng.choice((0.05, 0.05, 3.0)), rng.uniform(3, 9), rng.uniform(8, 40))[kind]


def plants(b: Builder, side, sign, edge, leaf, greens, kind) -> None:
    """Trees, loose bushes and a hedge on one side of the road."""
    rng, scene = b.rng, b.scene
    walk = scene.walk[side]
    if kind == 0:
        row, step = (rng.random() < 0.5) * (edge - walk + 0.8), rng.uniform(9, 14)
    else:
        row, step = edge + rng.uniform(1.0, 3.5), rng.uniform(8, 20)
    if row:
        y = rng.uniform(9, 20)
        while y < 110:
            if rng.random() < 0.75:
                d = sign * (row + rng.normal(0, 0.15 if kind == 0 else 0.8))
                colour = 0.4 * leaf + 0.6 * pick(rng, greens)
                scale = rng.uniform(0.75, 1.1) if kind == 0 else rng.uniform(0.8, 1.7)
                b.tree(b.road_x(y) + d, y, b.height(d), colour, kind > 0 and rng.random() < 0.25, scale)
            y += step * rng.uniform(0.7, 1.4)
    if kind > 0:
        for _ in range(rng.integers(3, 9)):  # loose trees and bushes behind the row
            y, d = rng.uniform(18, 120), sign * (edge + rng.uniform(5, 32))
            colour = pick(rng, greens)
            if rng.random() < 0.35:
                size = rng.uniform(0.6, 1.3)
                b.add(ELLIPSOID, TREE, LEAVES, b.road_x(y) + d, y, b.height(d) - 0.4 * size, 1.4 * size, size,
                      2.0 * size, b.blend(colour, scene.ground), rough=0.4)  # fmt: skip
            else:
                b.tree(b.road_x(y) + d, y, b.height(d), colour, rng.random() < 0.35, rng.uniform(0.9, 2.0))
    if kind == 1 and rng.random() < 0.6:  # a hedge along the sidewalk
        y = rng.uniform(6, 16)
        colour = b.blend(pick(rng, greens), scene.ground)
        for _ in range(rng.integers(2, 6)):
            length = rng.uniform(2, 4.5)
            d = sign * (edge + 0.55)
            b.add(BOX, TREE, LEAVES, b.road_x(y + length) + d, y + length, b.height(d) - 0.3, 0.45, length,
                  rng.uniform(1.1, 1.7), colour, yaw=b.heading(y + length), rough=0.3)  # fmt: skip
            y += 2 * length + rng.uniform(2, 6)


def furniture(b: Builder, side, sign, edge, walls, metal, kind) -> None:
    """Street lamps, signs and the signal of a crossing on one side of the road."""
    rng, scene = b.rng, b.scene
    walk, half = scene.walk[side], scene.half_width
    row = half + (0.45 if walk else 0.9)
    lamps, y = rng.random() < (0.8, 0.6, 0.4)[kind], rng.uniform(8, 18)
    step, tall = rng.uniform(16, 26), rng.uniform(5.5, 8.5)
    colour = b.blend(metal, walls[rng.integers(len(walls))])
    while lamps and y < 110:
        x, z, yaw = b.road_x(y) + sign * row, b.height(sign * row), b.heading(y)
        b.pole(x, y, z, tall, colour, 0.09)
        ax, ay = b.local(x, y, yaw, 0, -sign * 0.8)
        b.add(BOX, POLE, PLAIN, ax, ay, z + tall - 0.08, 0.85, 0.05, 0.1, colour, yaw=yaw)
        ax, ay = b.local(x, y, yaw, 0, -sign * 1.6)
        b.add(BOX, POLE, PLAIN, ax, ay, z + tall - 0.14, 0.4, 0.12, 0.14, colour * 0.8, yaw=yaw)
        y += step
    for _ in range(rng.integers(1, (5, 4, 4)[kind])):
        y = rng.uniform(9, 45)
        x, z = b.road_x(y) + sign * (row + rng.uniform(0, 0.3)), b.height(sign * row)
        b.sign(x, y, z, b.heading(y) + rng.normal(0, 0.12), b.blend(metal, walls[rng.integers(len(walls))]))
    if np.isfinite(scene.zebra):
        y = scene.zebra + (2.2 if sign > 0 else 6.0)
        arm = -sign * rng.uniform(2.5, 4.5) if rng.random() < 0.5 else 0.0
        b.signal(b.road_x(y) + sign * row, y, b.height(sign * row), b.heading(y), colour, arm)


def traffic(b: Builder, lanes, lane, parking, half, road, walls) -> None:
    """Cars and trucks on the lanes, and parked cars."""
    rng = b.rng
    paint = lambda: b.blend(pick(rng, CAR_PAINTS), road)  # noqa: E731
    for k in range(-lanes, lanes):
        d, oncoming = (k + 0.5) * lane, k < 0
        y = rng.uniform(9, 40) if k < lanes - 1 else rng.uniform(12, 45)
        while y < 120:
            if rng.random() < 0.2:
                box = b.blend(pick(rng, np.concatenate((FACADES, CAR_PAINTS[:2]))), walls[rng.integers(len(walls))])
                b.taken.append((y + 5, d, 6.0))
                b.truck(y + 4, d + rng.normal(0, 0.15), oncoming, box, b.blend(pick(rng, CAR_PAINTS), box))
                y += 10
            else:
                b.taken.append((y + 2, d, 2.8))
                b.car(y + 2, d + rng.normal(0, 0.2), oncoming, paint())
            y += rng.uniform(9, 50)
    for sign in (-1, 1):
        y = rng.uniform(4, 14)
        while parking and y < 80:
            if rng.random() < 0.65 and not (abs(y + 1.5 - b.scene.zebra) < 9):
                b.taken.append((y, sign * (half - 1.2), 2.6))
                b.car(y, sign * (half - 1.2), sign < 0, paint())
            y += rng.uniform(5.2, 6.5)


def people(b: Builder, half, edge, walls, road, kind) -> None:
    """People on the sidewalks, and some on the crossing."""
    rng, scene = b.rng, b.scene
    for _ in range(rng.integers(2, (10, 6, 3)[kind])):
        side = int(rng.integers(2))
        y = 7 + 38 * rng.random() ** 1.4
        if scene.walk[side]:
            d = (2 * side - 1) * rng.uniform(half + 0.7, edge[side] - 0.3)
        else:
            d = (2 * side - 1) * (half + 0.5)
        if np.isfinite(scene.zebra) and rng.random() < 0.25:
            at = scene.zebra + rng.uniform(0.5, 3.5), rng.uniform(-half, half)
            y, d = at if b.free(*at, 0.5) else (y, d)
        wall = (walls[rng.integers(len(walls))], scene.walkway, road)[rng.integers(3)]
        coat = b.blend(pick(rng, CLOTHES), wall)
        b.person(b.road_x(y) + d, y, b.height(d), coat, b.blend(pick(rng, CLOTHES[:5]) * 0.7, wall))


def decoys(seed, index, b: Builder, half, lane, edge, road, walls) -> None:
    """Flat pictures of objects, which only depth distinguishes from real ones: cars painted on the road, posters.

    A decoy changes the colour of the surface behind it, but neither its depth nor its label, like a picture that is
    painted there in the camera's perspective. Decoys have a random generator of their own, so that the rest of the
    scene is the same with and without them.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 1])))
    first, b.rng = b.rng, rng
    for _ in range(3):
        show, y, d, strong = rng.random() < 0.75 * b.difficulty, rng.uniform(9, 26), rng.uniform(-1, 1), rng.random()
        if show:
            b.canvas, b.fade = ON_GROUND, (road, (1 - b.difficulty) * 0.35 * strong)
            paint = pick(rng, CAR_PAINTS)
            if b.free(y, d * (half - 1.2), 6.0):
                b.car(y, d * (half - 1.2), d < 0, paint)
    for _ in range(6):
        show, side, y, what = rng.random() < 0.9 * b.difficulty, rng.integers(2), rng.uniform(10, 40), rng.random()
        if show:
            d = (2 * side - 1) * (edge[side] - 0.1)
            wall = walls[rng.integers(len(walls))]
            b.canvas, b.fade = ON_FACADE, (wall, (1 - b.difficulty) * 0.3 * rng.random())
            x, z = b.road_x(y) + d, b.height(d)
            if what < 0.5:
                b.person(x, y, z + rng.uniform(0, 1.2), pick(rng, CLOTHES), pick(rng, CLOTHES[:5]))
            elif what < 0.7:
                b.tree(x, y, z, pick(rng, FOLIAGE), False, rng.uniform(0.6, 1.0))
            elif what < 0.85:
                b.sign(x, y, z, b.heading(y), np.array((0.3, 0.31, 0.32)))
            else:
                b.pole(x, y, z, rng.uniform(5, 8), np.array((0.2, 0.21, 0.21)), 0.09)
    b.canvas, b.fade, b.rng = 0, None, first
