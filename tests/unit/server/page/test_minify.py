"""Minified scripts and style sheets of the page mean what their sources mean."""

import pytest

from server.page.minify import minify_script, minify_style
from server.page.static_files import FOLDER

SCRIPTS, STYLES = (
    [path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.rglob(pattern))]
    for pattern in ("*.js", "*.css")
)


@pytest.mark.parametrize(
    ("source", "minified"),
    [
        ("const a = 1;\n\n// note\nlet b = a;\n", "const a=1;let b=a;"),
        ("/** @type {A} */\nconst a = /** @type {B} */ (b);", "const a=(b);"),
        ("return a\n  ? b\n  : c;", "return a?b:c;"),
        ("a + +b; a - -b; a++ + b; a - b;", "a+ +b;a- -b;a++ +b;a-b;"),
        ("class A {\n  #b = 1;\n  get c() {}\n}\nnew A();", "class A{#b=1;get c(){}}new A();"),
        ('f("a  b // c", \'/* d */\', `e  ${ f }  // g`);',
         'f("a  b // c",\'/* d */\',`e  ${ f }  // g`);'),
        (r'f("a\"  b", `c\`  d`);', r'f("a\"  b",`c\`  d`);'),
        (r"x = /[/\]]  \/ \/\/ a/gu;", r"x=/[/\]]  \/ \/\/ a/gu;"),
        ("return /a  b/.test(c) && /d  e/;", "return/a  b/.test(c)&&/d  e/;"),
        ("a = b / c / d;  // e", "a=b/c/d;"),
        ("a = (b) / c;\nd = e[0] / f;", "a=(b)/c;d=e[0]/f;"),
        ("if (/a/ in b) c();", "if(/a/ in b)c();"),
        ("a = b / /c/;", "a=b/ /c/;"),
        ('const 名 = "中  文", é = 1;\nif (名) é in 名;',
         'const 名="中  文",é=1;if(名)é in 名;'),
    ],
)  # fmt: skip
def test_a_script_loses_only_what_separates_nothing(source: str, minified: str) -> None:
    assert minify_script(source) == minified


@pytest.mark.parametrize("test", ["c", "c({ d: 1 })"])
def test_a_template_within_another_is_refused(test: str) -> None:
    with pytest.raises(ValueError, match="within another"):
        minify_script(f"a = `b ${{{test} ? `d  e` : f}}`;")


@pytest.mark.parametrize(
    ("source", "minified"),
    [
        ("a > b,\nc :hover {\n  /* note */\n  color: red;\n}\n", "a>b,c :hover{color:red}"),
        ("a {\n  width: calc(1px + 2px - 3px);\n}", "a{width:calc(1px + 2px - 3px)}"),
        ('a::before {\n  content: "a ;  } /* b */";\n}', 'a::before{content:"a ;  } /* b */"}'),
        ("@media (width < 40em) and (hover: none) {}", "@media (width < 40em) and (hover:none){}"),
        ("a {\n  grid: 1fr minmax(0, 2fr) / auto;\n}", "a{grid:1fr minmax(0,2fr) / auto}"),
    ],
)
def test_a_style_sheet_loses_only_what_separates_nothing(source: str, minified: str) -> None:
    assert minify_style(source) == minified


@pytest.mark.parametrize("path", SCRIPTS)
def test_a_module_of_the_page_can_be_minified_and_nothing_is_left_to_do(path: str) -> None:
    minified = minify_script((FOLDER / path).read_text())

    assert minify_script(minified) == minified


@pytest.mark.parametrize("path", STYLES)
def test_a_style_sheet_of_the_page_has_nothing_left_to_do(path: str) -> None:
    minified = minify_style((FOLDER / path).read_text())

    assert minify_style(minified) == minified
