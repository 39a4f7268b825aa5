"""The shaders of `raster`, in GLSL 3.3.

All pictures are drawn with row 0 first, as in OpenCV: clip space's y runs downwards.
"""

NEAR, FAR = 0.01, 100.0  # what lies nearer or further is not drawn [m]

# What is the same for all of a picture, as from `look`: `sun` and `sky` are where the sun and the zenith are.
_LOOK = "layout(std140) uniform Look { vec4 lens, rays, sun, sky, focal; };"

_PAINT_VERTEX = (
    """#version 330
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

# The normal of the surface comes from how the inverse depth changes from pixel to pixel: on a plane n·p = d it is
# (n·ray)/d, for the ray with z = 1. Normals are written as 16 bits in two's complement, beside one more than the
# visual's number. How far the shaded surface is turned to the sun stands beside its paint; how the two make a colour is
# told in `_lit.py`.
_PAINT_FRAGMENT = """#version 330
LOOK UNIFORM_TEXTURE
in vec3 upwards; flat in vec3 colour; flat in int number; FROM_TEXTURE
layout(location = 0) out vec4 paint; layout(location = 1) out float closeness; layout(location = 2) out uvec2 surface;
layout(location = 3) out float zenith;
void main() {
    closeness = gl_FragCoord.w;
    vec2 ray = gl_FragCoord.xy * rays.xy + rays.zw;
    vec2 slope = vec2(dFdx(gl_FragCoord.w), dFdy(gl_FragCoord.w)) * focal.xy;
    ivec3 normal = ivec3(-32767 * normalize(vec3(slope, gl_FragCoord.w - dot(slope, ray))));
    surface = uvec2(normal.xz & 65535) | uvec2(normal.y, number + 1) << 16;
    vec3 up = normalize(upwards);
    paint = vec4(colour TEXEL, dot(sun.xyz, up));
    zenith = dot(sky.xyz, up) * 0.5 + 0.5;
}
""".replace("LOOK", _LOOK)

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


def paint(textured: bool) -> tuple[str, str]:
    """The vertex and the fragment shader that draw a scene, of which some visuals may have a texture."""
    vertex, fragment = _PAINT_VERTEX, _PAINT_FRAGMENT
    for word, code in _TEXTURE.items():
        vertex, fragment = (shader.replace(word, code if textured else "") for shader in (vertex, fragment))
    return vertex, fragment
