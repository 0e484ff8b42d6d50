//! Names as people give them to files, for each character set that is recognised.

/// The set and its names, one a line.
pub(super) const CORPUS: [(&str, &str); 6] = [
    // Chinese in simplified letters.
    (
        "gbk",
        "\
中文文件名-装机单.txt
新建文本文档.txt
新建文件夹
会议记录.doc
财务报表2023.xls
销售合同.pdf
员工考勤表.xlsx
照片.jpg
我的音乐
毕业论文.doc
年终总结.docx
产品说明书.pdf
客户名单.csv
公司简介.ppt
工资条.xls
身份证复印件.jpg
张三的简历.doc
数据备份20240101.zip
系统安装盘.iso
学生成绩单.xls
装修图纸.dwg
采购订单_001.pdf
采购清单
采购清单_v2.docx
测试用例.xlsx
春节放假通知.doc
北京地图.jpg
周杰伦-青花瓷.mp3
红楼梦.txt
培训资料(最终版).ppt
发票扫描件.pdf
项目进度.mpp
视频剪辑.avi
李小龙.jpg
营业执照.jpg
使用手册v2.0.pdf
源代码.rar
质量检验报告.doc
请假条.doc
上海分公司
库存清单.xls
旅游照片001.jpg
监控录像_0800.mp4
三国演义第一回.txt
通讯录.xls
出差申请表.doc
第三季度销售数据.xlsx
结婚照
桌面壁纸.bmp
歌词.lrc",
    ),
    // Chinese in traditional letters.
    (
        "big5",
        "\
新增資料夾
會議記錄.doc
財務報表2023.xls
銷售合約.pdf
員工出勤表.xlsx
照片.jpg
我的音樂
畢業論文.doc
年終總結.docx
產品說明書.pdf
客戶名單.csv
公司簡介.ppt
薪資單.xls
身分證影本.jpg
王小明履歷.doc
資料備份20240101.zip
系統安裝光碟.iso
學生成績單.xls
裝潢設計圖.dwg
採購訂單_001.pdf
測試報告.xlsx
春節放假通知.doc
台北地圖.jpg
周杰倫-青花瓷.mp3
紅樓夢.txt
教育訓練(最終版).ppt
發票掃描.pdf
專案進度.mpp
影片剪輯.avi
林志玲.jpg
營業執照.jpg
使用手冊v2.0.pdf
程式原始碼.rar
品質檢驗報告.doc
請假單.doc
高雄分公司
庫存清單.xls
旅遊相片001.jpg
監視錄影_0800.mp4
三國演義第一回.txt
電子郵件.txt
繁體中文測試.txt
通訊錄.xls
出差申請表.doc
第三季銷售數據.xlsx
結婚照片
桌布.bmp",
    ),
    // Japanese.
    (
        "shift_jis",
        "\
新しいフォルダー
議事録.doc
見積書.xls
請求書_2023年4月.pdf
写真.jpg
テスト.txt
履歴書.doc
会社案内.ppt
売上データ.csv
日本語ファイル名.txt
卒業論文.docx
仕様書.pdf
設計図.dwg
マニュアル.pdf
バックアップ20240101.zip
ｶﾀｶﾅ.txt
ﾃｽﾄ.txt
納品書.xls
契約書(案).doc
東京タワー.jpg
桜の写真.jpg
運動会.avi
音楽フォルダ
さくら.mp3
ありがとう.txt
社員名簿.xls
給与明細.pdf
報告書最終版.doc
スケジュール表.xlsx
プログラム.c
画面キャプチャ.png
領収書.pdf
北海道旅行
おはよう.wav
システム構成図.vsd
研究発表.ppt
注文一覧.csv
住所録.xls
勤怠管理.xlsx
となりのトトロ.avi
高橋さん.txt
夏休みの思い出.doc
出張精算書.xls
第三四半期売上.xlsx
結婚式
壁紙.bmp
ﾃﾞｰﾀ.csv
はじめに.txt",
    ),
    // Korean.
    (
        "euc-kr",
        "\
새 폴더
회의록.doc
견적서.xls
보고서_2023.hwp
사진.jpg
한글 문서.hwp
이력서.doc
회사소개.ppt
매출현황.xlsx
테스트.txt
졸업논문.docx
사용설명서.pdf
설계도면.dwg
백업파일20240101.zip
직원명부.xls
급여명세서.pdf
계약서(최종).doc
서울지도.jpg
벚꽃사진.jpg
운동회.avi
음악폴더
사랑해요.mp3
안녕하세요.txt
김철수.jpg
주문목록.csv
주소록.xls
출근부.xlsx
여름휴가.doc
프로그램.c
화면캡처.png
영수증.pdf
제주도여행
시스템구성도.vsd
연구발표.ppt
재고현황.xls
세금계산서.pdf
동영상강의.mp4
학생성적표.xls
공지사항.txt
자료실
대한민국.txt
바탕화면.jpg
출장비정산.xls
삼분기매출.xlsx
결혼사진
바탕무늬.bmp
노래가사.txt",
    ),
    // Russian, Ukrainian and Bulgarian.
    (
        "windows-1251",
        "\
Новая папка
Документ.doc
Отчёт за 2023 год.xls
Фото.jpg
Договор купли-продажи.pdf
Резюме.doc
Прайс-лист.xls
Музыка
тест.txt
Дипломная работа.docx
Инструкция.pdf
Чертёж.dwg
Резервная копия.zip
Список сотрудников.xls
Счёт-фактура №15.pdf
Москва.jpg
Семейные фотографии
песня.mp3
Война и мир.txt
Иванов Иван.jpg
заявление на отпуск.doc
ПРИКАЗ.doc
Презентация компании.ppt
Бухгалтерия
копия файла.txt
Звіт за рік.xls
Договір.doc
Київ.jpg
Україна.txt
Фотографії
Нова папка
Рахунок-фактура.pdf
Література.txt
Български език.doc
Снимки
София.jpg
Фактура.pdf
Нов документ.txt
Ръководство.pdf
Списък на файловете.txt
ОТЧЕТ.xls
мама.jpg
Командировка.doc
Отчет за третий квартал.xlsx
свадьба
обои.bmp
Задание №3.doc",
    ),
    // German, French, Spanish, Portuguese and the languages of the north.
    (
        "windows-1252",
        "\
Müller.txt
résumé.pdf
Ärger.txt
Übersicht.xls
Größe.doc
Straße.jpg
Grüße aus München.jpg
Bewerbungsunterlagen für Köln.pdf
Präsentation.ppt
Fußball.avi
schöne Aussicht.jpg
Rechnung März.pdf
Ölwechsel.doc
Vertrag Jörg Schäfer.pdf
été.jpg
Noël à Paris.jpg
français.txt
garçon.doc
Où est-ce.txt
Procès-verbal réunion.doc
facture n°12.pdf
château.jpg
élève.txt
L’été.txt
España.txt
niño.jpg
mañana.mp3
Año nuevo.jpg
Canción.mp3
¿Qué hora es.txt
informação.doc
São Paulo.jpg
coração.mp3
relatório de vendas.xls
ações.xls
Avô e avó.jpg
Blåbærsyltetøj.doc
Ångström.txt
Øresund.jpg
Räksmörgås.txt
Malmö.jpg
Hyvää päivää.txt
Ægir.txt
Perú.txt
café.jpg
Lohnabrechnung für Mai.pdf
Führerschein.jpg
Prüfung.doc
Fête de Noël.jpg
Coordonnées bancaires.pdf",
    ),
];
