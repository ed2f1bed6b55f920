"""Makes the small fonts that drawn memes are lettered with: memescope/curation/synth/fonts.

    apt-get install fonts-noto-core fonts-noto-cjk
    npm pack @fontsource/anton@5.3.0 @fontsource/oswald@5.3.0 @fontsource/patrick-hand@5.3.0
    python scripts/make_fonts.py FOLDER_WITH_THE_TGZ_FILES

All are under the SIL Open Font License. Each is cut down to the letters needed, with the layout rules of its script,
and its family names are removed, since a changed font may not carry a reserved name. Needs fonttools.
"""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import yaml
from fontTools import subset
from fontTools.ttLib import TTFont

SYNTH = Path(__file__).resolve().parent.parent / "memescope" / "curation" / "synth"
NOTO = Path("/usr/share/fonts/truetype/noto")
CJK = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc")
SIMPLIFIED_CHINESE = 2
"""Index of the simplified Chinese face in the collection."""

LATIN = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),
    0x218,
    0x219,
    0x21A,
    0x21B,
    *range(0x2010, 0x2027),
    0x2039,
    0x203A,
    0x20AC,
]
CYRILLIC = [*range(0x400, 0x460)]
SIGNS = [0x20, 0x21, 0x2C, 0x2E, 0x3F, 0x3A, 0x2D, *range(0x30, 0x3A)]
DEVANAGARI = [*range(0x900, 0x980), 0x200C, 0x200D, 0x20B9, 0x25CC, *SIGNS]
BENGALI = [*range(0x980, 0xA00), 0x964, 0x965, 0x200C, 0x200D, 0x25CC, *SIGNS]
ARABIC = [0x60C, 0x61B, 0x61F, *range(0x621, 0x63B), *range(0x640, 0x653), *range(0x660, 0x66B), 0x670, 0x200C, 0x200D]
# Beyond the captions: common words, so that tests can letter sentences of their own.
COMMON_CHINESE = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家"
    "事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民"
    "第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月"
    "话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变"
    "四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼"
    "书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切"
    "院让识候带导争运笑飞风步改收根干造言联持组每济车亲极林服快办议往元英士证近失转夫令准布始怎呢存未远叫台单影具罗字"
    "爱击流备兵连调深商算质团集百需价花党华城石级整府离况亚请技际约示复病息究线似官火断精满支视消越器容照须九增研写称"
    "企八功吗包片史委乎查轻易早曾除农找装广显吧阿李标谈吃图念六引历首医局突专费号尽另周较注语仅考落青随选列武红响虽推"
    "势参希古众构房半节土投某案黑维革划敌致陈律足态护七兴派孩验责营星够章音跟志底站严巴例防族供效续施留讲型料终答紧黄"
    "绝奇察母京段依批群项故按河米围江织害斗双境客纪采举杀攻父苏密低朝友诉止细愿千值仍男钱破网热助倒育属坐帝限船脸职速"
    "刻乐否刚威毛状率甚独球般普怕弹校苦创伪久错承印晚兰试股拿脑预谁益阳若哪微尼继送急血惊伤素药适波夜省初喜卫源食险待"
    "述陆习置居劳财环排福纳欢雷警获模充负云停木游龙树疑层冷洲冲射略范竟句室异激汉村哈策演简卡罪判担州静退既衣您宗积余"
    "痛检差富灵协角占配征修皮挥胜降阶审沉坚善妈刘读啊超免压银买皇养伊怀执副乱抗犯追帮宣佛岁航优怪香著田铁控税左右份穿"
    "艺背阵草脚概恶块顿敢守酒岛托央户烈洋哥索胡款靠评版宝座释景顾弟登货互付伯慢欧换闻危忙核暗姐介坏讨丽良序升监临亮露"
    "永呼味野架域沙掉括舰鱼杂误湾吉减编楚肯测败屋跑梦散温困剑渐封救贵枪缺楼县尚毫移娘朋画班智亦耳恩短掌恐遗固席松秘谢"
    "鲁遇康虑幸均销钟诗藏赶剧票损忽巨炮旧端探湖录叶春乡附吸予礼港雨呀板庭妇归睛饭额含顺输摇招婚脱补谓督毒油疗旅泽材灭"
    "逐莫笔亡鲜词圣择寻厂睡博勒烟授诺伦岸奥唐卖俄炸载洛健堂旁宫喝借君禁阴园谋宋避抓荣姑孙逃牙束跳顶玉镇雪午练迫爷篇肉"
    "嘴馆遍凡础洞卷坦牛宁纸诸训私庄祖丝翻暴森塔默握戏隐熟骨访弱蒙歌店鬼软典欲萨伙遭盘爸扩盖弄雄稳忘亿刺拥徒姆杨齐赛趣"
    "曲刀床迎冰虚玩析窗醒妻透购替塞努休虎扬途侵刑绿兄迅套贸毕唯谷轮库迹尤竞街促延震弃甲伟麻川申缓潜闪售灯针哲络抵朱埃"
    "抱鼓植纯夏忍页杰筑折郑贝尊吴秀混臣雅振染盛怒舞圆搞狂措姓残秋培迷诚宽宇猛摆梅毁伸摩盟末乃悲拍丁赵硬麦蒋操耶阻订彩"
    "抽赞魔纷沿喊违妹浪汇币丰蓝殊献桌啦瓦莱援译夺汽烧距裁偏符勇触课敬哭懂墙袭召罚侠厅拜巧侧韩冒债曼融惯享戴童犹乘挂奖"
    "绍厚纵障讯涉彻刊丈爆乌役描洗玛患妙镜唱烦签仙彼弗症仿倾牌陷鸟轰咱菜闭奋庆撤泪茶疾缘播朗杜奶季丹狗尾仪偷奔珠虫驻孔"
    "宜艾桥淡翼恨繁寒伴叹旦愈潮粮缩罢聚径恰挑袋灰捕徐珍幕映裂泰隔启尖忠累炎暂估泛荒偿横拒瑞忆孤鼻闹羊呆厉衡胞零穷舍码"
    "赫婆魂灾洪腿胆津俗辩胸晓劲贫仁偶辑邦恢赖圈摸仰润堆碰艇稍迟辆废净凶署壁御奉旋冬矿抬蛋晨伏吹鸡倍糊秦盾杯租骑乏隆诊"
)


def cut(font: TTFont, letters: list[int] | str, name: str, features: str = "*") -> None:
    """Writes `name` with these letters only (and all that the script's rules make of them)."""
    options = subset.Options()
    options.layout_features = features.split(",")
    options.hinting = False
    options.name_IDs = [0, 13, 14]
    options.notdef_outline = True
    options.glyph_names = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=letters if isinstance(letters, list) else map(ord, letters))
    subsetter.subset(font)
    font.flavor = None
    path = SYNTH / "fonts" / name
    font.save(path)
    print(f"{name} {path.stat().st_size} bytes")


def webfont(folder: Path, family: str, file: str) -> TTFont:
    """One file of a font package."""
    with tarfile.open(next(folder.glob(f"fontsource-{family}-*.tgz"))) as package:
        member = package.extractfile(f"package/files/{family}-{file}-normal.woff")
        assert member is not None
        return TTFont(io.BytesIO(member.read()), recalcTimestamp=False)


def main(folder: Path) -> None:
    """Makes every font."""
    (SYNTH / "fonts").mkdir(exist_ok=True)
    everything = yaml.safe_load((SYNTH / "captions.yaml").read_text("utf-8"))
    used = str(everything["captions"]["zh"]) + str(everything["days"]["zh"])
    chinese = "".join(sorted({c for c in used + COMMON_CHINESE + "，。！？：；“”（）《》、…" if ord(c) > 0x2000}))
    for family, weight in (("anton", 400), ("patrick-hand", 400)):
        cut(webfont(folder, family, f"latin-{weight}"), LATIN, f"{family}.ttf")
        cut(webfont(folder, family, f"latin-ext-{weight}"), LATIN, f"{family}-ext.ttf")
    cut(webfont(folder, "oswald", "cyrillic-700"), CYRILLIC, "oswald-cyrillic.ttf")

    def noto(name: str) -> TTFont:
        return TTFont(NOTO / f"{name}.ttf", recalcTimestamp=False)

    cut(noto("NotoSans-Regular"), LATIN + CYRILLIC, "sans.ttf", "kern,mark,mkmk,ccmp,locl")
    cut(noto("NotoSans-Bold"), LATIN + CYRILLIC, "sans-bold.ttf", "kern,mark,mkmk,ccmp,locl")
    cut(noto("NotoSansDevanagari-Bold"), DEVANAGARI, "devanagari-bold.ttf")
    cut(noto("NotoSansBengali-Bold"), BENGALI, "bengali-bold.ttf")
    cut(
        noto("NotoSansArabic-Bold"),
        ARABIC,
        "arabic-bold.ttf",
        "init,medi,fina,isol,rlig,calt,liga,ccmp,mark,mkmk,kern,curs,locl",
    )
    cut(TTFont(CJK, fontNumber=SIMPLIFIED_CHINESE, recalcTimestamp=False), chinese, "chinese-bold.otf", "kern")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
