"""The shaders of `raster`, in GLSL 4.0.

All pictures are drawn with row 0 first, as in OpenCV: clip space's y runs downwards.
"""

import numpy as np

NEAR, FAR = 0.01, 100.0  # what lies nearer or further is not drawn [m]
DEEPEST = 65_535  # how the shadow map, of 16 bits, writes that nothing is in the sun's way

# What is the same for all of a picture, as from `look`. Beside the sun stands how far in front of a surface shadows are
# looked up, beside the focal lengths how far they are blurred.
_LOOK = "layout(std140) uniform Look { vec4 lens, rays, sun, sky, focal; mat3x4 to_light; };"

_PAINT_VERTEX = (
    """#version 400
uniform sampler2D poses; LOOK
in vec3 at; in vec3 normal; in vec4 paint; in int which; IN_TEXTURE
out vec3 upwards; flat out vec3 colour; flat out int number; OUT_TEXTURE
const float near = NEAR, far = FAR;
void main() {
    mat3x4 rows = mat3x4(texelFetch(poses, ivec2(0, which), 0), texelFetch(poses, ivec2(1, which), 0),
                         texelFetch(poses, ivec2(2, which), 0));
    vec3 seen = vec4(at, 1) * rows;
    upwards = vec4(normal, 0) * rows;
    colour = paint.rgb;
    number = which;
    SET_TEXTURE
    float deep = (seen.z * (far + near) - 2 * far * near) / (far - near);
    gl_Position = vec4(seen.xy * lens.xy + seen.z * lens.zw, deep, seen.z);
}
""".replace("NEAR", f"{NEAR}")
    .replace("FAR", f"{FAR}")
    .replace("LOOK", _LOOK)
)

SCREEN_VERTEX = """#version 400
void main() { gl_Position = vec4(gl_VertexID == 2 ? 3 : -1, gl_VertexID == 1 ? 3 : -1, 1, 1); }
"""

SHRINK_FRAGMENT = """#version 400
uniform sampler2D fine; uniform int samples;
layout(location = 0) out vec4 rgb;
void main() {
    vec3 sum = vec3(0);
    for (int i = 0; i < samples * samples; ++i) {
        vec3 one = texelFetch(fine, ivec2(gl_FragCoord.xy) * samples + ivec2(i % samples, i / samples), 0).rgb;
        sum += one * one;
    }
    rgb = vec4(sqrt(sum / float(samples * samples)), 1);
}
"""

# Colours are mixed as their squares, which is close to linear light. The normal of the surface comes from how the
# inverse depth changes from pixel to pixel: on a plane n·p = d it is (n·ray)/d, for the ray with z = 1. Normals are
# written as 16 bits in two's complement, beside one more than the visual's number.
_PAINT_FRAGMENT = """#version 400
uniform usampler2D shadow; LOOK UNIFORM_TEXTURE
in vec3 upwards; flat in vec3 colour; flat in int number; FROM_TEXTURE
layout(location = 0) out vec4 rgb; layout(location = 1) out float closeness; layout(location = 2) out uvec2 surface;
const vec2 disc[TAPS + 1] = vec2[TAPS + 1](DISC);
float passed(vec2 at, uint deep) {
    vec2 corner = floor(at + 0.5), part = at + 0.5 - corner;
    vec4 free = vec4(lessThanEqual(uvec4(deep), textureGather(shadow, corner / textureSize(shadow, 0))));
    vec2 line = mix(free.wx, free.zy, part.x);
    return mix(line.x, line.y, part.y);
}
void main() {
    closeness = gl_FragCoord.w;
    vec2 ray = gl_FragCoord.xy * rays.xy + rays.zw;
    vec2 slope = vec2(dFdx(gl_FragCoord.w), dFdy(gl_FragCoord.w)) * focal.xy;
    ivec3 normal = ivec3(-32767 * normalize(vec3(slope, gl_FragCoord.w - dot(slope, ray))));
    surface = uvec2(normal.xz & 65535) | uvec2(normal.y, number + 1) << 16;
    vec3 up = normalize(upwards);
    float lit = 1;
    if (TAPS > 0) {
        vec3 place = vec4(vec3(ray, 1) / gl_FragCoord.w + sun.w * up, 1) * to_light;
        vec3 middle = vec3(textureSize(shadow, 0), 1) / 2;
        if (all(lessThan(abs(place - middle), middle))) {
            lit = 0;
            uint deep = uint(place.z * DEEPEST);
            for (int i = 0; i < TAPS; ++i) lit += passed(place.xy + disc[i] * focal.zw, deep);
            lit /= float(max(TAPS, 1));
        }
    }
    float light = dot(sky, vec4(up, 1)) + lit * max(dot(sun.xyz, up), 0);
    rgb = vec4(colour TEXEL * sqrt(light), 1);
}
""".replace("DEEPEST", f"{DEEPEST}").replace("LOOK", _LOOK)

# What textures add: `on` is how often the picture goes into the place from its corner, `tile` its first texel, columns
# and rows. All pictures lie in one row that is broken into lines of TEXELS, so they need not fit together.
TEXELS = 2048
_TEXTURE = {
    "IN_TEXTURE": "in vec2 over; in ivec3 picture;",
    "OUT_TEXTURE": "out vec2 on; flat out ivec3 tile;",
    "SET_TEXTURE": "on = over; tile = picture;",
    "UNIFORM_TEXTURE": "uniform sampler2D pictures;",
    "FROM_TEXTURE": """in vec2 on; flat in ivec3 tile;
vec3 texel() {
    ivec2 cell = min(ivec2(fract(on) * vec2(tile.yz)), tile.yz - 1);
    int place = tile.x + cell.y * tile.y + cell.x;
    return texelFetch(pictures, ivec2(place % TEXELS, place / TEXELS), 0).rgb;
}""".replace("TEXELS", f"{TEXELS}"),
    "TEXEL": "* texel()",
}


def paint(taps: int, textured: bool) -> tuple[str, str]:
    """The vertex and the fragment shader that draw a scene.

    Args:
        taps: so many looks at the shadow map, spread evenly over a disc (Vogel 1979); up to four are on a ring whose
            mean square distance from the middle is that of a disc.
        textured: whether some visuals have a texture.
    """
    number = np.arange(taps + 1)
    if taps > 4:
        radius, angle = np.sqrt((number + 0.5) / taps), number * np.pi * (3 - np.sqrt(5))
    else:
        radius, angle = np.full(taps + 1, np.sqrt(0.5)), number * 2 * np.pi / max(taps, 1)
    disc = ", ".join(f"vec2({r * np.cos(a):.4f}, {r * np.sin(a):.4f})" for r, a in zip(radius, angle, strict=True))
    vertex, fragment = _PAINT_VERTEX, _PAINT_FRAGMENT.replace("TAPS", str(taps)).replace("DISC", disc)
    for word, code in _TEXTURE.items():
        vertex, fragment = (shader.replace(word, code if textured else "") for shader in (vertex, fragment))
    return vertex, fragment
